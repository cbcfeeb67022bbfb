"""Types of the `latte` fixture, which runs the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """Output of a command."""

    out: str
    err: str


Latte = Callable[..., Said]
