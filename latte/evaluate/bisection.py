"""Find numbers by bisection."""

from __future__ import annotations

from collections.abc import Callable


def bisect(
    low: float, high: float, is_below: Callable[[float], bool], halvings: int
) -> tuple[float, float]:
    """Find by bisection the number at which `is_below` changes from True to False.

    Returns the ends of a small interval around this number: `low` to `high`, halved `halvings`
    times.
    """
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return low, high
