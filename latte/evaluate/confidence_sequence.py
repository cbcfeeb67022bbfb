"""Intervals for a mean that is sampled image by image, valid whenever sampling stops.

The images are drawn without replacement from a finite population, and each has a value between
two limits. A confidence sequence covers the population's mean at all sample sizes at once, so the
person who answers may look at every interval and stop at any time.

Construction: betting against each possible mean (Waudby-Smith and Ramdas, "Estimating means of
bounded random variables by betting", 2024, sections 4 and 5). A mean is rejected when a gambler
who bets against it has multiplied the stake by 2 / (1 - level).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latte.interfaces import Interval

_FRACTIONS = np.array([0.1, 0.2, 0.35, 0.5, 0.65])
"""Shares of the largest possible bet; the stake is divided equally among them.

Of the divisions compared, this one needs the fewest answers to tell the sign of a gain of 5 to 8
points. The intervals are valid with any fixed division.
"""
_HALVINGS = 25


def confidence_sequence(
    values: Sequence[float], population: int, low: float, high: float, level: float = 0.95
) -> Interval:
    """Return the mean of `values` with its interval after the last of them.

    Args:
        values: the sampled values in the order of sampling, each from `low` to `high`.
        population: number of images that the sample is drawn from, without replacement.
        low: the smallest value that an image can have.
        high: the largest value that an image can have.
        level: the probability that all intervals of the growing sample contain the mean.

    Raises:
        ValueError: for a value outside the limits, or more values than images.

    Example:
        >>> after = confidence_sequence([1, 1, 0, 1, 1, 1, 1, 1], population=100, low=-1, high=1)
        >>> round(after.low, 2), round(after.value, 3), round(after.high, 2)
        (0.02, 0.875, 1.0)
    """
    found = np.asarray(values, dtype=np.float64)
    if len(found) > population:
        raise ValueError(f"{len(found)} values are more than {population} images")
    if len(found) and not (low <= found.min() and found.max() <= high):
        raise ValueError(f"a value is not between {low} and {high}")
    if population == 0 or not len(found):
        middle = (low + high) / 2
        return Interval(middle, low, high)
    lower = _lowest_mean(found, population, low, high, level)
    # The upper end is the lower end of the mirrored values.
    upper = -_lowest_mean(-found, population, -high, -low, level)
    mean = float(found.mean())
    return Interval(mean, min(lower, mean), max(upper, mean))


def _lowest_mean(
    values: NDArray[np.float64], population: int, low: float, high: float, level: float
) -> float:
    """Return the lowest mean that no bet on larger values has rejected so far."""
    drawn = np.arange(len(values))
    total = np.concatenate([[0.0], np.cumsum(values)])
    threshold = math.log(2 / (1 - level))

    def rejected(mean: float) -> bool:
        # Mean of the images not yet drawn, before each draw, if `mean` is true.
        left = np.minimum((population * mean - total[:-1]) / (population - drawn), high)
        gains = 1 + _FRACTIONS[:, None] * (values - left) / np.maximum(left - low, 1e-12)
        stakes = np.log(gains).cumsum(axis=1)
        return bool(np.logaddexp.reduce(stakes, axis=0).max() - math.log(len(gains)) >= threshold)

    # Below `possible`, even the lowest values of all other images would give a larger mean.
    possible = (total[-1] + (population - len(values)) * low) / population
    below, above = float(possible), float(values.mean())
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        below, above = (middle, above) if rejected(middle) else (below, middle)
    return below
