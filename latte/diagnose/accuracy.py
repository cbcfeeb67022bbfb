"""The real gain. Needs labels."""

from __future__ import annotations

from latte.diagnose.measure import Measure, Measurement
from latte.interfaces import Evaluation

ZERO_SHOT = Measure(
    "zero_shot_top1", "zero-shot top-1", "share", "test images whose nearest class is the true one"
)
ADAPTED = Measure(
    "adapted_top1",
    "adapted top-1",
    "share",
    "the same by the adapted model",
    contains_gain=True,
)
GAIN = Measure(
    "gain",
    "gain",
    "points",
    "adapted minus zero-shot, in percentage points",
    "Bonett and Price (2012), Journal of Educational and Behavioral Statistics 37:479-488",
    contains_gain=True,
)


def accuracy_measures(zero_shot: Evaluation, adapted: Evaluation) -> list[Measurement]:
    """Both accuracies and their difference, with the run's intervals over images."""
    measured = ((ZERO_SHOT, zero_shot.top1), (ADAPTED, adapted.top1), (GAIN, adapted.gain))
    return [
        Measurement(measure, interval.value, interval=interval)
        for measure, interval in measured
        if interval
    ]
