"""Shards: disjoint subsets of the requests, for processes that describe images in parallel."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from latte import distributed
from latte.describe.store import DescriptionStore
from latte.interfaces import LatteError
from latte.io.files import digest

Key = Callable[[int], str]
"""Function that returns the key of the answer to the request with a given index."""


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 1) of `count`; every request is in exactly one shard."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a shard such as `2/4`. Raises `LatteError` for other texts."""
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text, re.ASCII)
        index, count = map(int, match.groups()) if match else (0, 0)
        if not 1 <= index <= count:
            raise LatteError(
                f"`{text}` is no shard",
                where="--shard",
                hint="write i/n with i from 1 to n: 1/4, 2/4, 3/4 and 4/4 for four workers",
            )
        return cls(index, count)

    @classmethod
    def of_torchrun(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the shard of this process if `torchrun` started several processes, else None."""
        start = distributed.start_of(environment)
        return None if start is None else cls(start.rank + 1, start.world_size)

    def holds(self, key: str) -> bool:
        """Return True if this shard contains the request `key`."""
        return int(digest("shard", key)[:16], 16) % self.count == self.index - 1

    def of(self, rows: Sequence[int], key: Key) -> Sequence[int]:
        """Return the indices among `rows` whose requests belong to this shard."""
        return array("i", (row for row in rows if self.holds(key(row))))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def wait_for_answers(
    store: DescriptionStore,
    rows: Sequence[int],
    process_rows: Sequence[int],
    key: Key,
    *,
    written: int,
    spent: Sequence[Mapping[str, int]],
) -> tuple[int, Sequence[Mapping[str, int]]]:
    """Wait until the answers of all processes are in `store`; return sums over all processes.

    `rows` are the indices of all requests, and `process_rows` those of this process's requests.
    `written` is the number of texts that this process added, and `spent` has its counters, such as
    tokens; both are summed. Raises `LatteError` if answers of another process do not appear in
    `store`.
    """
    if distributed.world_size() == 1:
        return written, spent
    distributed.barrier()
    counts_by_process = distributed.all_gather_object([_answers(store, process_rows, key), written])
    expected = sum(answers for answers, _ in counts_by_process)

    def are_there() -> bool:
        store.refresh()
        return _answers(store, rows, key) >= expected

    if not distributed.wait_until(are_there):
        raise LatteError(
            "descriptions that another process wrote do not appear here",
            where=str(store.folder),
            hint="all machines of a run must share the folder that LATTE_CACHE names",
        )
    totals: list[Counter[str]] = [Counter() for _ in spent]
    for own_counts in distributed.all_gather_object([*map(dict, spent)]):
        for total, counts in zip(totals, own_counts, strict=True):
            total.update(counts)
    return sum(count for _, count in counts_by_process), totals


def _answers(store: DescriptionStore, rows: Sequence[int], key: Key) -> int:
    return sum(map(store.is_answered, map(key, rows)))
