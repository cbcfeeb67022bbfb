"""Gain on images without an answer, estimated by answers that were left out in turn.

Answered images are not like the others: latte asks first where labels are doubtful. Yet an image
whose label stays the zero-shot label gains nothing, whoever answers, and the model itself says how
many labels of the other images it changes. Among changed labels, too, answers are about the harder
images; the fits say how much harder. So only the gain per changed label is estimated, and answers
only correct the gain that the fits expect:

    gain = d (t mean of f over others + mean of (g - t f) over answers)

    d   share of the images without an answer whose label the fits change
    f   of each changed label: its probability by the fit minus that of the zero-shot label
    g   of each left-out answer whose label the fit changes: 1 if only the new label is the answer,
        -1 if only the zero-shot label is, and 0 if neither is
    t   `TRUST`: answered images are also farther from other answers than the others are, so they
        are harder than their probabilities say

This is a post-stratified mean (Holt and Smith, Post Stratification, Journal of the Royal
Statistical Society A 142:33-46, 1979) with two strata, of which one has no variance. In the other,
it is the difference estimator (Cassel, Särndal and Wretman, Biometrika 63:615-620, 1976), also
known as prediction-powered (Angelopoulos et al., Science 382:669-674, 2023). Probabilities that are
all too high, or all too low, cancel. With answers about random images, both means of f are the same
but for chance. A fit without probabilities expects 1 everywhere, which changes nothing.

The interval adds one answer with g = 1 and one with g = -1 (Bonett and Price, Journal of
Educational and Behavioral Statistics 37:479-488, 2012); for n answers with them, where h of each is
g - t f + t mean of f over others, the mean c of h, and the sum e of h - c over the answers about a
series, its variance is

    (sum over series of e²) / n²  (1 + series of the answers / series of the changed images)

The first part is the variance of a mean of clusters (Cochran, Sampling Techniques, 1977, section
9A.3); the second is there because the images without an answer are themselves few. The answers
share five fits, which know other answers than the model does. The intervals are `WIDENING` times as
wide for that. All labelled sets of `python -m benchmarks gains` chose `TRUST` and `WIDENING`; the
benchmark also judges each half of the sets by the factor of the other half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.interfaces import Interval, Posterior

TRUST = 1.5
"""Factor of the gains that the fits expect."""
WIDENING = 1.75
"""Factor of the interval's width."""
_Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


@dataclass(frozen=True)
class AnsweredImages:
    """A left-out answers, and two labels of each one's image."""

    answers: Tensor
    """(A,) int64: the classes that a person gave."""
    zero_shot: Tensor
    """(A,): the zero-shot labels."""
    taught: Tensor
    """(A,): labels by fits that do not know the answer."""
    expected: Tensor
    """(A,): gains that these fits expect; see `expected_gains`."""
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


@dataclass(frozen=True)
class UnansweredImages:
    """Images without an answer, whose gain is estimated."""

    changed: float
    """Share of their labels that the fits change."""
    expected: float
    """Mean of the gains that the fits expect of the labels that they change."""
    series: int
    """Number of their series."""

    @classmethod
    def of(cls, is_changed: Tensor, expected: Tensor, series: Tensor) -> UnansweredImages:
        """Return the facts about M images and F fits.

        `is_changed` (F, M) is True where a fit changes the zero-shot label, `expected` (F, M) are
        the gains that it expects, and `series` (M,) are the series of the images.
        """
        changed = float(is_changed.double().mean())
        mean = float(expected[is_changed].double().mean()) if changed else 0.0
        return cls(changed, mean, len(series.unique()))  # type: ignore[no-untyped-call]


def expected_gains(posterior: Posterior, zero_shot_labels: Tensor) -> Tensor:
    """Return the probability (N,) of each label minus that of the zero-shot label.

    A label is the first of its row of `posterior`; a zero-shot label that its row lacks has the
    probability 0. Equal labels have the gain 0.
    """
    probabilities = posterior.probabilities.double()
    is_zero_shot = posterior.labels == zero_shot_labels.unsqueeze(1)
    gains: Tensor = probabilities[:, 0] - (probabilities * is_zero_shot).sum(dim=1)
    return gains


def answered_gain(
    answered: AnsweredImages, unanswered: UnansweredImages, widening: float = WIDENING
) -> Interval:
    """Return the gain in accuracy on images without an answer, with its 95 % interval.

    Args:
        answered: the left-out answers.
        unanswered: the images without an answer.
        widening: factor of the interval's width.

    The interval is within [-d, d]. If no answer is about a changed label, it is all of that.
    """
    is_changed, changed = answered.is_changed, unanswered.changed
    if not bool(is_changed.any()) or changed == 0:
        return Interval(0.0, -changed, changed)
    gains = (answered.gains - TRUST * answered.expected)[is_changed] + TRUST * unanswered.expected
    number = len(gains) + 2
    value, centre = min(1.0, max(-1.0, float(gains.mean()))), float(gains.sum()) / number
    sums, answered_series = _sums(gains - centre, answered.series[is_changed])
    squares = float(sums.square().sum()) + (1 - centre) ** 2 + (1 + centre) ** 2
    variance = squares / number**2 * (1 + answered_series / max(1.0, changed * unanswered.series))
    half_width = widening * _Z * math.sqrt(variance)
    low, high = min(value, centre - half_width), max(value, centre + half_width)
    return Interval(changed * value, changed * max(-1.0, low), changed * min(1.0, high))


def zero_shot_accuracy(answered: AnsweredImages, changed: float) -> float:
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
