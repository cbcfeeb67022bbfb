"""Processes of one run that describe: each asks for its share, and waits for the others'."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from latte import processes
from latte.describe.shard import Shard
from latte.describe.store import DescriptionStore
from latte.interfaces import LatteError

Key = Callable[[int], str]
"""What the answer to a request is stored under, by the request's row."""


def own_share(rows: Sequence[int], key: Key) -> Sequence[int]:
    """Those of `rows` that this process asks for: the share that `latte describe` gives to it."""
    if processes.count() == 1:
        return rows
    shard = Shard(processes.rank() + 1, processes.count())
    return array("i", (row for row in rows if shard.holds(key(row))))


def exchanged(
    store: DescriptionStore,
    rows: Sequence[int],
    key: Key,
    *,
    written: int,
    spent: Mapping[str, int],
) -> tuple[int, Mapping[str, int]]:
    """Wait for everybody's answers; texts that all have `written`, and what all have `spent`.

    Raises `LatteError` where this process does not see what another one wrote.
    """
    if processes.count() == 1:
        return written, spent
    own = own_share(rows, key)
    processes.wait_for_all()
    found = processes.gather_values([_answers(store, own, key), written])
    _find(store, rows, key, sum(answers for answers, _ in found))
    total: Counter[str] = Counter()
    for one in processes.gather_values(dict(spent)):
        total.update(one)
    return sum(count for _, count in found), total


def _answers(store: DescriptionStore, rows: Sequence[int], key: Key) -> int:
    keys = map(key, rows)
    return sum(store.get(one) is not None or store.refusal(one) is not None for one in keys)


def _find(store: DescriptionStore, rows: Sequence[int], key: Key, expected: int) -> None:
    def are_there() -> bool:
        store.refresh()
        return _answers(store, rows, key) >= expected

    if not processes.appears(are_there):
        raise LatteError(
            "descriptions that another process wrote do not appear here",
            where=str(store.folder),
            hint="all machines of a run must share the folder that LATTE_CACHE names",
        )
