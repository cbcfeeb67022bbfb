"""Seeds of random decisions, so that no random state is carried from step to step."""

from __future__ import annotations

from latte.io.files import digest


def seed_from(purpose: str, *parts: int) -> int:
    """Derive a 63-bit seed by hashing `purpose` and `parts`."""
    return int(digest(purpose, *map(str, parts))[:16], 16) >> 1
