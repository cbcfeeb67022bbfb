"""Gain on images without an answer, estimated by answers that were left out in turn.

Answered images are not like the others: latte asks first where labels are doubtful. Yet an image
whose label stays the zero-shot label gains nothing, whoever answers, and the model itself says how
many labels of the other images it changes. So only the gain per changed label is estimated:

    gain = d mean(g)

    d   share of the images without an answer whose label the fits change
    g   of each left-out answer whose label the fit changes: 1 if only the new label is the answer,
        -1 if only the zero-shot label is, and 0 if neither is

This is a post-stratified mean (Holt and Smith, Post Stratification, Journal of the Royal
Statistical Society A 142:33-46, 1979) with two strata, of which one has no variance. The interval
of mean(g) adds one answer with g = 1 and one with g = -1 (Bonett and Price, Journal of Educational
and Behavioral Statistics 37:479-488, 2012); for n answers with them, the mean c, and the sum e of
g - c over the answers about a series, its variance is

    (sum over series of e²) / n²  (1 + series of the answers / series of the changed images)

The first part is the variance of a mean of clusters (Cochran, Sampling Techniques, 1977, section
9A.3); the second is there because the images without an answer are themselves few. The answers
share five fits, which know other answers than the model does, and among changed labels latte also
asks about the doubtful ones. The intervals are `WIDENING` times as wide for that. All labelled sets
of `python -m benchmarks gains` chose this factor; the benchmark also judges each half of the sets
by the factor of the other half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.interfaces import Interval

WIDENING = 1.45
"""Factor of the interval's width."""
_Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


@dataclass(frozen=True)
class Answered:
    """A left-out answers, and two labels of each one's image."""

    answers: Tensor
    """(A,) int64: the classes that a person gave."""
    zero_shot: Tensor
    """(A,): the zero-shot labels."""
    taught: Tensor
    """(A,): labels by fits that do not know the answer."""
    series: Tensor
    """(A,): number of the series of each image."""

    @property
    def is_changed(self) -> Tensor:
        """True (A,) where the fit changes the zero-shot label."""
        return self.taught != self.zero_shot

    @property
    def gains(self) -> Tensor:
        """Gain (A,) of each answer: 1, 0 or -1."""
        is_right, was_right = (labels == self.answers for labels in (self.taught, self.zero_shot))
        return is_right.double() - was_right.double()


def answered_gain(
    answered: Answered, changed: float, series: int, widening: float = WIDENING
) -> Interval:
    """Return the gain in accuracy on images without an answer, with its 95 % interval.

    Args:
        answered: the left-out answers.
        changed: share d of the images without an answer whose label the fits change.
        series: number of series of the images without an answer.
        widening: factor of the interval's width.

    The interval is within [-d, d]. If no answer is about a changed label, it is all of that.
    """
    gains, groups = answered.gains[answered.is_changed], answered.series[answered.is_changed]
    if not len(gains) or changed == 0:
        return Interval(0.0, -changed, changed)
    value, number = float(gains.mean()), len(gains) + 2
    centre = float(gains.sum()) / number
    sums, answered_series = _sums(gains - centre, groups)
    squares = float(sums.square().sum()) + (1 - centre) ** 2 + (1 + centre) ** 2
    variance = squares / number**2 * (1 + answered_series / max(1.0, changed * series))
    half_width = widening * _Z * math.sqrt(variance)
    low, high = min(value, centre - half_width), max(value, centre + half_width)
    return Interval(changed * value, changed * max(-1.0, low), changed * min(1.0, high))


def zero_shot_accuracy(answered: Answered, changed: float) -> float:
    """Return the estimated share of images without an answer whose zero-shot label is right.

    The answers about changed labels together count as the share `changed`, unless all or none of
    the answers are about changed labels.
    """
    was_right = (answered.zero_shot == answered.answers).double()
    is_changed = answered.is_changed
    if bool(is_changed.all()) or not bool(is_changed.any()):
        return float(was_right.mean())
    shares = (float(was_right[part].mean()) for part in (is_changed, ~is_changed))
    of_changed, of_unchanged = shares
    return changed * of_changed + (1 - changed) * of_unchanged


def _sums(values: Tensor, groups: Tensor) -> tuple[Tensor, int]:
    """Return the sum of the values of each group, and the number of groups."""
    names, numbers = groups.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    return torch.zeros(len(names), dtype=values.dtype).index_add(0, numbers, values), len(names)
