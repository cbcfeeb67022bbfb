"""What another machine has written appears here after a while, or never."""

from __future__ import annotations

import time
from collections.abc import Callable

_SECONDS = 90.0
"""Network file systems take their time to look again."""
_LOOK_AGAIN_SECONDS = 0.2


def appears(is_there: Callable[[], bool]) -> bool:
    """Whether `is_there` comes true within a time that network file systems keep to."""
    deadline = time.monotonic() + _SECONDS
    while not is_there():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_AGAIN_SECONDS)
    return True
