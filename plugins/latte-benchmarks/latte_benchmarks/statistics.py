"""Mean, spread and interval of a number that was measured once per seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from latte.api import Interval

_COVERED = 0.95
_HALVINGS = 60


@dataclass(frozen=True)
class Spread:
    """Mean and spread of a number over runs that differ only in their seed."""

    mean: float
    deviation: float | None
    """Sample standard deviation (denominator n - 1); None for a single run."""
    runs: int

    @property
    def reach(self) -> float | None:
        """Half the width of Student's 95 % t-interval over seeds; None for a single run."""
        if self.deviation is None:
            return None
        return t_quantile(self.runs - 1) * self.deviation / math.sqrt(self.runs)


def spread(values: Sequence[float]) -> Spread:
    """Return the mean and sample standard deviation of at least one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def mean_spread(spreads: Sequence[Spread]) -> Spread:
    """Return the mean over datasets, whose deviations are independent of each other."""
    deviations = [value.deviation for value in spreads if value.deviation is not None]
    has_deviations = len(deviations) == len(spreads)
    mean = statistics.fmean(value.mean for value in spreads)
    return Spread(
        mean,
        mean_error(deviations) if has_deviations else None,
        min(value.runs for value in spreads),
    )


def mean_error(errors: Sequence[float]) -> float:
    """Return the error of the mean of numbers that have these independent errors."""
    return math.sqrt(sum(error**2 for error in errors)) / len(errors)


def mean_gain(gains: Sequence[Interval]) -> Interval:
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
    over_seeds = spread([gain.value for gain in gains])
    value, reach = over_seeds.mean, over_seeds.reach or 0.0
    below = statistics.fmean((gain.value - gain.low) ** 2 for gain in gains)
    above = statistics.fmean((gain.high - gain.value) ** 2 for gain in gains)
    return _bounded(value, math.sqrt(reach**2 + below), math.sqrt(reach**2 + above))


def mean_gain_of_datasets(gains: Sequence[Interval]) -> Interval:
    """Return the mean gain over datasets, whose errors are independent of each other."""
    return _bounded(
        statistics.fmean(gain.value for gain in gains),
        mean_error([gain.value - gain.low for gain in gains]),
        mean_error([gain.high - gain.value for gain in gains]),
    )


def _bounded(value: float, below: float, above: float) -> Interval:
    """Return the interval around `value`, cut to the possible differences of two shares."""
    return Interval(value, max(-1.0, value - below), min(1.0, value + above))


@cache
def t_quantile(degrees_of_freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution, for at least 1 degree of freedom."""
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (
            (middle, high)
            if _probability_within(middle, degrees_of_freedom) < _COVERED
            else (low, middle)
        )
    return math.tan(low) * math.sqrt(degrees_of_freedom)


def _probability_within(angle: float, degrees_of_freedom: int) -> float:
    """Return P(|T| <= tan(angle) * sqrt(degrees_of_freedom)) for a Student-t variable T.

    Abramowitz and Stegun (1964), equations 26.7.3 and 26.7.4.
    """
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees_of_freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(1 + odd, degrees_of_freedom, 2):
        total += term
        term *= cosine**2 * power / (power + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
