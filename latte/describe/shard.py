"""A share of the requests, for workers that answer them side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from latte.files import digest
from latte.interfaces import LatteError


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
