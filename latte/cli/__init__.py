"""The command line: each module has one or more commands; starting latte does not import torch."""

import time

_BEGAN = time.perf_counter()


def waited() -> float:
    """Return the seconds since the command began, including its imports."""
    return time.perf_counter() - _BEGAN
