"""One seed for each random decision, from what the decision is about and from nothing else."""

from __future__ import annotations

from latte.io.files import digest


def seed_from(purpose: str, *parts: int) -> int:
    """63 bits that belong to `purpose` and `parts`; other purposes and parts get unrelated ones."""
    return int(digest(purpose, *map(str, parts))[:16], 16) >> 1
