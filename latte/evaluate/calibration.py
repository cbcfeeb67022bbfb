"""Find, without labels, the scale at which a classifier's confidence matches its accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from latte.evaluate.bisection import bisect

BINS = 15
FARTHEST = 100.0
"""Largest factor between the model's own scale and a scale that the search tries."""
_HALVINGS = 40


def calibration_error(confidence: Tensor, correct: Tensor) -> float:
    """Return the expected calibration error (Guo et al. 2017, equation 3).

    It is the mean of |accuracy - confidence| over `BINS` bins, weighted by the images per bin. Each
    bin includes its upper edge. `confidence` (M,) are the probabilities of M > 0 answers; `correct`
    (M,) is True where the answer is right.
    """
    bins = (confidence.double() * BINS).ceil().long().clamp(1, BINS) - 1
    excess_confidence = confidence.double() - correct.double()
    excess_of_bins = torch.zeros(BINS, dtype=torch.float64).index_add(0, bins, excess_confidence)
    return float(excess_of_bins.abs().sum()) / len(confidence)


def expected_accuracy(zero_shot: Tensor, labels: Tensor) -> float:
    """Estimate the accuracy of `labels` (N,) from zero-shot probabilities (N, C).

    Let p be the probability of an image's zero-shot class. An image contributes p if its label is
    the zero-shot class, else 1 - p. The estimate is the mean over images, but at most the fraction
    of images whose label is the zero-shot class, because nothing shows that other labels are right.
    """
    confidence, zero_shot_labels = zero_shot.double().max(dim=1)
    is_zero_shot_label = zero_shot_labels == labels
    mean_probability = torch.where(is_zero_shot_label, confidence, 1 - confidence).mean()
    return min(float(mean_probability), float(is_zero_shot_label.double().mean()))


def matching_scale(similarities: Tensor, accuracy: float, start: float) -> float:
    """Return the logit scale at which the mean confidence of similarities (N, C) is `accuracy`.

    The scale is found by bisection between `start` / 100 and `start` * 100. With a single class,
    whose probability is always 1, `start` is returned.
    """
    if similarities.shape[1] == 1:
        return start
    return _matching(lambda scale: mean_confidence(similarities, scale), accuracy, start)


def matching_exponent(probabilities: Tensor, accuracy: float) -> float:
    """Return the exponent with which `calibrated` gives a mean confidence of `accuracy`.

    `probabilities` are (N, K), with the likeliest class first. The exponent is found by bisection
    between 0.01 and 100. With a single class, 1 is returned.
    """
    if probabilities.shape[1] == 1:
        return 1.0
    double_probabilities = probabilities.double()
    return _matching(
        lambda power: float(calibrated(double_probabilities, power)[:, 0].mean()), accuracy, 1.0
    )


def calibrated(probabilities: Tensor, exponent: float) -> Tensor:
    """Raise probabilities (..., K) to the power `exponent`, and normalise them over K."""
    # Logarithms, because small probabilities raised to a large exponent are 0 in floating point.
    shares = (probabilities.double().log() * exponent).softmax(dim=-1)
    return shares.nan_to_num(0).to(probabilities.dtype)


def _matching(confidence: Callable[[float], float], accuracy: float, start: float) -> float:
    logarithm_bounds = math.log(start / FARTHEST), math.log(start * FARTHEST)
    low, high = bisect(
        *logarithm_bounds, lambda logarithm: confidence(math.exp(logarithm)) < accuracy, _HALVINGS
    )
    return math.exp((low + high) / 2)


def mean_confidence(similarities: Tensor, scale: float) -> float:
    """Return the mean, over N images, of the top class's probability.

    Probabilities are softmax(`scale` * similarities (N, C)).
    """
    return float((similarities.double() * scale).softmax(dim=1).amax(dim=1).mean())
