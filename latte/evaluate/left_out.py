"""Calibrate confidence by answers that were left out: the likeliest factor of the logits.

A sample has class probabilities of images from a fit that did not know their answers, and the
answers. The likeliest factor of the logits is the temperature scaling of Guo et al. (On Calibration
of Modern Neural Networks, ICML 2017, section 4.2). With few answers it is uncertain, so the factor
has a log-normal prior around the estimate without labels; see `prior_factor`.

`GROWTH` and `SPREAD` were chosen on the labelled sets of `python -m benchmarks calibration`, which
also judges each half of the sets by the constants of the other half.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from latte.evaluate.calibration import FARTHEST

GROWTH = 0.4
"""The prior's median is the estimate without labels times the number of answers to this power."""
SPREAD = 0.7
"""Standard deviation of the logarithm of the factor, by the prior."""
_STEP = 0.05
"""Difference of the logarithms of two factors that are tried."""
_SMALLEST = 1e-12
"""No probability is smaller: one wrong answer to which a fit gives 0 does not decide everything."""

Losses = Callable[[float], Tensor]
"""Function of a factor that returns the negative log-likelihood (A,) of each answer."""


def prior_factor(label_free: float, answers: int, growth: float = GROWTH) -> float:
    """Return the median of the prior: `label_free` times `answers` to the power `growth`.

    The estimate without labels does not know what answers teach, and a model that more answers
    taught is right more often.
    """
    return label_free * math.pow(answers, growth)


def answered_scale(
    similarities: Tensor,
    answers: Tensor,
    label_free: float,
    start: float,
    *,
    growth: float = GROWTH,
    spread: float = SPREAD,
) -> float:
    """Return the scale of similarities (A, C) that makes the `answers` (A,) likeliest.

    The scale is between `start` / 100 and `start` * 100. `label_free` is the scale that is
    estimated without labels. With a single class, `start` is returned.
    """
    if similarities.shape[1] == 1:
        return start
    median = prior_factor(label_free, len(answers), growth)
    return _likeliest(
        lambda scale: scale_losses(similarities, answers, scale), median, start, spread
    )


def answered_exponent(
    labels: Tensor,
    probabilities: Tensor,
    answers: Tensor,
    label_free: float,
    *,
    growth: float = GROWTH,
    spread: float = SPREAD,
) -> float:
    """Return the exponent of `probabilities` (A, K) that makes the `answers` (A,) likeliest.

    `labels` (A, K) are the classes, the likeliest first. An answer that is none of them has the
    probability that the first label is wrong. The exponent is between 0.01 and 100. `label_free` is
    the exponent that is estimated without labels. With a single class, 1 is returned.
    """
    if probabilities.shape[1] == 1:
        return 1.0
    median = prior_factor(label_free, len(answers), growth)

    def losses(exponent: float) -> Tensor:
        return exponent_losses(labels, probabilities, answers, exponent)

    return _likeliest(losses, median, 1.0, spread)


def scale_losses(similarities: Tensor, answers: Tensor, scale: float) -> Tensor:
    """Return the negative log-likelihood (A,) of `answers` by softmax(`scale` * similarities)."""
    logits = (scale * similarities.double()).log_softmax(dim=1)
    return -logits.gather(1, answers.unsqueeze(1)).squeeze(1)


def exponent_losses(
    labels: Tensor, probabilities: Tensor, answers: Tensor, exponent: float
) -> Tensor:
    """Return the negative log-likelihood (A,) of `answers` by a posterior with an exponent."""
    logits = (exponent * probabilities.double().clamp_min(_SMALLEST).log()).log_softmax(dim=1)
    is_answer = labels == answers.unsqueeze(1)
    answer_logits = (logits * is_answer).sum(dim=1)
    wrong_label_logits = torch.log1p(-logits[:, 0].exp().clamp(max=1 - _SMALLEST))
    return -answer_logits.where(is_answer.any(dim=1), wrong_label_logits)


def _likeliest(losses: Losses, median: float, start: float, spread: float) -> float:
    steps = round(math.log(FARTHEST) / _STEP)
    logarithms = [math.log(start) + _STEP * step for step in range(-steps, steps + 1)]

    def cost(logarithm: float) -> float:
        distance = (logarithm - math.log(median)) / spread
        return float(losses(math.exp(logarithm)).sum()) + distance**2 / 2

    return math.exp(min(logarithms, key=cost))
