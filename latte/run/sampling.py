"""The images of a run that is limited to a number of images."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")


def sampled(items: Sequence[ItemT], limit: int | None, split: str) -> Sequence[ItemT]:
    """Return `limit` of the items in order, or all; they are the same for every seed."""
    if limit is None or limit >= len(items):
        return items
    drawn = random.Random(f"0 {split}").sample(range(len(items)), limit)
    return [items[index] for index in sorted(drawn)]
