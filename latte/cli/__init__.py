"""Command-line interface: a module per group of commands. Starting it does not import torch."""

import time

_BEGAN = time.perf_counter()


def waited() -> float:
    """Return the seconds since the command began, including its imports."""
    return time.perf_counter() - _BEGAN
