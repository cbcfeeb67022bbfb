"""A share of the requests, for workers that answer them side by side."""

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


@dataclass(frozen=True)
class Shard:
    """Number `index` (from 1) of `count` shares that hold every request exactly once."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard that `text` names, such as `2/4`. Raises `LatteError`."""
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
        """The shard of this process where `torchrun` started several; None elsewhere."""
        rank, world = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
        if not (rank.isdecimal() and world.isdecimal()) or int(world) < 2:
            return None
        return cls.parse(f"{int(rank) + 1}/{world}")

    def holds(self, key: str) -> bool:
        """Whether the request `key` is in this share: the same answer in every process."""
        return int(digest("shard", key)[:16], 16) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


# Processes of one run that describe: each asks for its share, and waits for the others'.


Key = Callable[[int], str]
"""What the answer to a request is stored under, by the request's row."""


def own_share(rows: Sequence[int], key: Key) -> Sequence[int]:
    """Those of `rows` that this process asks for: the share that `latte describe` gives to it."""
    if distributed.world_size() == 1:
        return rows
    shard = Shard(distributed.rank() + 1, distributed.world_size())
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
    if distributed.world_size() == 1:
        return written, spent
    own = own_share(rows, key)
    distributed.barrier()
    found = distributed.all_gather_object([_answers(store, own, key), written])
    _find(store, rows, key, sum(answers for answers, _ in found))
    total: Counter[str] = Counter()
    for one in distributed.all_gather_object(dict(spent)):
        total.update(one)
    return sum(count for _, count in found), total


def _answers(store: DescriptionStore, rows: Sequence[int], key: Key) -> int:
    keys = map(key, rows)
    return sum(store.get(one) is not None or store.refusal(one) is not None for one in keys)


def _find(store: DescriptionStore, rows: Sequence[int], key: Key, expected: int) -> None:
    def are_there() -> bool:
        store.refresh()
        return _answers(store, rows, key) >= expected

    if not distributed.wait_until(are_there):
        raise LatteError(
            "descriptions that another process wrote do not appear here",
            where=str(store.folder),
            hint="all machines of a run must share the folder that LATTE_CACHE names",
        )
