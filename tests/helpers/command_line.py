"""Type of the fixture that runs `latte`."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

Latte = Callable[..., CompletedProcess[str]]
