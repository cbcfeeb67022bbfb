"""Mean, spread and interval of a number that was measured once per seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from latte.interfaces import Interval

_COVERED = 0.95


@dataclass(frozen=True)
class Spread:
    """Mean and spread of a number over runs that differ only in their seed."""

    mean: float
    deviation: float | None
    """Sample standard deviation (denominator n - 1); None for a single run."""
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """Return the mean and sample standard deviation of at least one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of at least two values with Student's 95 % t-interval."""
    if len(values) < 2:
        raise ValueError("a single value has no spread to estimate an interval from")
    moments = spread(values)
    half_width = t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(moments.mean, moments.mean - half_width, moments.mean + half_width)


def mean_of_intervals(gains: Sequence[Interval]) -> Interval:
    """Return the mean gain over seeds, with a 95 % interval over seeds and over images.

    Each seed i has one gain, with an interval over images. Let h be the half-width of Student's
    t-interval over seeds, and b_i the distance from gain i to the lower end of its interval. Then
    the lower end of the result is sqrt(h² + mean(b_i²)) below the mean. The upper end is computed
    in the same way.

    An interval over seeds alone would be too narrow, because all seeds share the same images. The
    result is conservative, because random differences between seeds increase both h and b_i. For a
    single gain, the result is its interval over images.
    """
    if len(gains) == 1:
        return gains[0]
    interval_over_seeds = mean_interval([gain.value for gain in gains])
    value = interval_over_seeds.value
    half_width = interval_over_seeds.high - value
    mean_square_below = statistics.fmean((gain.value - gain.low) ** 2 for gain in gains)
    mean_square_above = statistics.fmean((gain.high - gain.value) ** 2 for gain in gains)
    return Interval(
        value,
        value - math.sqrt(half_width**2 + mean_square_below),
        value + math.sqrt(half_width**2 + mean_square_above),
    )


@cache
def t_quantile(degrees_of_freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution, for at least 1 degree of freedom."""
    low, _ = bisect(
        0.0, math.pi / 2, lambda angle: _inside(angle, degrees_of_freedom) < _COVERED, halvings=60
    )
    return math.tan(low) * math.sqrt(degrees_of_freedom)


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


def _inside(angle: float, degrees_of_freedom: int) -> float:
    """Return P(|T| <= tan(angle) * sqrt(degrees_of_freedom)) for a Student-t variable T.

    Abramowitz and Stegun (1964), equations 26.7.3 and 26.7.4.
    """
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees_of_freedom % 2
    term = cosine if is_odd else 1.0
    total = 0.0
    for power in range(1 + is_odd, degrees_of_freedom, 2):
        total += term
        term *= cosine**2 * power / (power + 1)
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total
