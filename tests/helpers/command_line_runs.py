"""The command line as comparisons call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """What a command printed."""

    out: str
    err: str


Latte = Callable[..., Said]
