"""Whether probabilities say how often a classifier is right. Needs labels."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.diagnose.measure import Measure, Measurement

BINS = 15

CALIBRATION = Measure(
    "calibration_error",
    "calibration error",
    "share",
    f"expected calibration error of zero-shot, {BINS} equal bins; 0: probabilities are how often "
    "answers are right",
    "Guo et al. (2017), ICML: On calibration of modern neural networks",
)
OVERCONFIDENCE = Measure(
    "overconfidence",
    "overconfidence",
    "points",
    "mean confidence minus accuracy of zero-shot; above 0: surer than right",
)


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


def calibration_measures(confidence: Tensor, correct: Tensor) -> list[Measurement]:
    """How well M > 0 confidences (M,) match what is right (M,)."""
    excess = float(confidence.double().mean() - correct.double().mean())
    return [
        Measurement(CALIBRATION, calibration_error(confidence, correct)),
        Measurement(OVERCONFIDENCE, excess),
    ]
