"""Processes of one run that describe: each asks for its share, and waits for the others'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from latte import processes
from latte.describe.shard import Shard
from latte.describe.store import DescriptionStore
from latte.interfaces import LatteError


def own_share(keys: Sequence[str]) -> Sequence[str]:
    """Those of `keys` that this process asks for: the share that `latte describe` gives to it."""
    if processes.count() == 1:
        return keys
    shard = Shard(processes.rank() + 1, processes.count())
    return [key for key in keys if shard.holds(key)]


def exchanged(
    store: DescriptionStore, keys: Sequence[str], written: int, spent: Mapping[str, int]
) -> tuple[int, Mapping[str, int]]:
    """Wait for everybody's answers; texts that all have `written`, and what all have `spent`.

    Raises `LatteError` where this process does not see what another one wrote.
    """
    if processes.count() == 1:
        return written, spent
    own = own_share(keys)
    processes.wait_for_all()
    found = processes.gather_values([_answers(store, own), written])
    _find(store, keys, sum(answers for answers, _ in found))
    total: Counter[str] = Counter()
    for one in processes.gather_values(dict(spent)):
        total.update(one)
    return sum(count for _, count in found), total


def _answers(store: DescriptionStore, keys: Sequence[str]) -> int:
    return sum(store.get(key) is not None or store.refusal(key) is not None for key in keys)


def _find(store: DescriptionStore, keys: Sequence[str], expected: int) -> None:
    def are_there() -> bool:
        store.refresh()
        return _answers(store, keys) >= expected

    if not processes.appears(are_there):
        raise LatteError(
            "descriptions that another process wrote do not appear here",
            where=str(store.folder),
            hint="all machines of a run must share the folder that LATTE_CACHE names",
        )
