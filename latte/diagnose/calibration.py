"""Whether probabilities say how often a classifier is right. Needs labels."""

from __future__ import annotations

from torch import Tensor

from latte.diagnose.measure import Measure, Measurement
from latte.evaluate.calibration import BINS, calibration_error

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


def calibration_measures(confidence: Tensor, correct: Tensor) -> list[Measurement]:
    """How well M > 0 confidences (M,) match what is right (M,)."""
    excess = float(confidence.double().mean() - correct.double().mean())
    return [
        Measurement(CALIBRATION, calibration_error(confidence, correct)),
        Measurement(OVERCONFIDENCE, excess),
    ]
