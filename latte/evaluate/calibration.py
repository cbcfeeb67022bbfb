"""Confidence that is nearer to how often answers are right, found without a label."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BINS = 15

_FARTHEST = 100.0
"""Scales are sought up to so many times above and below the model's own."""

_HALVINGS = 40


def calibration_error(confidence: Tensor, correct: Tensor) -> float:
    """Expected calibration error: |accuracy - confidence| by bin, weighted by the bin's images.

    `BINS` bins of equal width, each with its upper edge. Guo et al. (2017), equation 3.

    Args:
        confidence: probability of each of M > 0 answers (M,), in [0, 1].
        correct: whether it is right (M,), bool.
    """
    bins = (confidence.double() * BINS).ceil().long().clamp(1, BINS) - 1
    excess = confidence.double() - correct.double()
    by_bin = torch.zeros(BINS, dtype=torch.float64).index_add(0, bins, excess)
    return float(by_bin.abs().sum()) / len(confidence)


def expected_accuracy(zero_shot: Tensor, labels: Tensor) -> float:
    """How often `labels` (N,) are right at most, if zero-shot's probabilities (N, C) are believed.

    Where a label is zero-shot's own, the probability of that; elsewhere what zero-shot leaves to
    all other classes together. And no more than the share of labels that are zero-shot's own:
    a model that answers otherwise for most images has no witness for being surer.
    """
    confidence, own = zero_shot.double().max(dim=1)
    agrees = own == labels
    believed = torch.where(agrees, confidence, 1 - confidence).mean()
    return min(float(believed), float(agrees.double().mean()))


def matching_scale(similarities: Tensor, accuracy: float, start: float) -> float:
    """The scale at which the mean confidence is `accuracy`, within 100 times `start` either way.

    Args:
        similarities: N > 0 images (N, C), not scaled.
        accuracy: a share, such as `expected_accuracy`.
        start: the model's own scale; what a single class, which is always certain, is left at.
    """
    if similarities.shape[1] == 1:
        return start
    low, high = math.log(start / _FARTHEST), math.log(start * _FARTHEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if mean_confidence(similarities, math.exp(middle)) < accuracy:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def mean_confidence(similarities: Tensor, scale: float) -> float:
    """Mean probability of the top class of (N, C) similarities: softmax of `scale` times them."""
    return float((similarities.double() * scale).softmax(dim=1).amax(dim=1).mean())
