"""Intervals for a mean that is sampled image by image, valid whenever sampling stops.

With the given probability, all intervals of the sequence contain the population's mean. So a person
may look at every interval and stop sampling at any time.

Construction: betting against each possible mean (Waudby-Smith and Ramdas, "Estimating means of
bounded random variables by betting", 2024, sections 4 and 5). A mean is rejected when a gambler who
bets against it has multiplied the stake by 2 / (1 - level).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latte.evaluate.bisection import bisect
from latte.interfaces import Interval

_FRACTIONS = np.array([0.15, 0.3, 0.5, 0.7, 0.9])
"""Shares of the largest possible bet; the stake is divided equally among bets of these sizes. Large
bets detect large gains with few answers, and small bets detect small gains."""
_HALVINGS = 25


def confidence_sequence(
    values: Sequence[float], population: int, low: float, high: float, level: float = 0.95
) -> Interval:
    """Return the mean of `values`, with the interval after the last value.

    Args:
        values: the sampled values in the order of sampling, each from `low` to `high`.
        population: number of images that the sample is drawn from, without replacement.
        low: the smallest value that an image can have.
        high: the largest value that an image can have.
        level: the probability that the intervals after each value all contain the mean.

    Raises:
        ValueError: for a value outside the limits, or more values than images.

    Example:
        >>> top1 = confidence_sequence([1, 1, 0, 1, 1, 1, 1, 1, 1], 100, low=-1, high=1)
        >>> round(top1.low, 2), round(top1.value, 2), round(top1.high, 2)
        (0.08, 0.89, 0.99)
    """
    samples = np.asarray(values, dtype=np.float64)
    if len(samples) > population:
        raise ValueError(f"{len(samples)} values are more than {population} images")
    if len(samples) and not (low <= samples.min() and samples.max() <= high):
        raise ValueError(f"a value is not between {low} and {high}")
    if population == 0 or not len(samples):
        middle = (low + high) / 2
        return Interval(middle, low, high)
    lower = _lowest_mean(samples, population, low, high, level)
    # The upper end is the lower end of the mirrored values.
    upper = -_lowest_mean(-samples, population, -high, -low, level)
    mean = float(samples.mean())
    return Interval(mean, min(lower, mean), max(upper, mean))


def log_wealth(
    values: NDArray[np.float64], population: int, low: float, high: float, mean: float
) -> NDArray[np.float64]:
    """Return the log capital (m,), after each value, of a gambler who bets that `mean` is too low.

    `values` (m,), each from `low` to `high`, are sampled without replacement from `population`
    images. `mean` is above `low`.
    """
    earlier_sums = np.concatenate([[0.0], np.cumsum(values)[:-1]])
    # Per step: mean value of the images not yet sampled, if the population has this mean.
    remaining_mean = np.minimum(
        (population * mean - earlier_sums) / (population - np.arange(len(values))), high
    )
    largest_losses = np.maximum(remaining_mean - low, 1e-12)
    gains = 1 + _FRACTIONS[:, None] * (values - remaining_mean) / largest_losses
    shares = np.log(gains).cumsum(axis=1)
    return np.asarray(np.logaddexp.reduce(shares, axis=0) - math.log(len(gains)))


def is_rejected(
    values: NDArray[np.float64],
    population: int,
    low: float,
    high: float,
    mean: float,
    level: float = 0.95,
) -> NDArray[np.bool_]:
    """Return, after each of `values` (m,), whether its interval excludes `mean`.

    It says of every interval of `confidence_sequence` at once what that would say of each.
    """
    excluded = np.zeros(len(values), dtype=bool)
    for side, middle, lowest, highest in ((values, mean, low, high), (-values, -mean, -high, -low)):
        if middle > lowest:
            wealth = log_wealth(side, population, lowest, highest, middle)
            excluded |= wealth >= math.log(2 / (1 - level))
    return np.asarray(np.logical_or.accumulate(excluded))


def _lowest_mean(
    values: NDArray[np.float64], population: int, low: float, high: float, level: float
) -> float:
    threshold = math.log(2 / (1 - level))
    # The mean is at least `lowest_possible`, which it is if all other images have the value `low`.
    lowest_possible = (float(values.sum()) + (population - len(values)) * low) / population

    def rejected(mean: float) -> bool:
        return bool(log_wealth(values, population, low, high, mean).max() >= threshold)

    return bisect(lowest_possible, float(values.mean()), rejected, _HALVINGS)[0]
