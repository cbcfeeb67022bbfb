"""The command line, one module per command; nothing here imports torch at start-up."""

import time

_BEGAN = time.perf_counter()


def waited() -> float:
    """Return the seconds since the command began, including its imports."""
    return time.perf_counter() - _BEGAN
