"""Labels of the training images: how many adapting changed, and how many classes they use."""

from __future__ import annotations

from torch import Tensor

from latte.diagnose.measure import Measure, Measurement
from latte.evaluate.diagnostics import agreement

CHANGED = Measure(
    "labels_changed",
    "labels changed",
    "share",
    "training images whose class changed; 0: adapting changes nothing on them",
)
IN_USE = Measure(
    "classes_in_use",
    "classes in use",
    "share",
    "of the classes, those that label at least one training image; low: only some occur, or "
    "labels pile up in few of them",
)


def usage_measure(labels: Tensor, classes: int) -> Measurement:
    """The share of classes that some of N labels (N,) name."""
    return Measurement(IN_USE, int((labels.bincount() > 0).sum()) / classes)


def change_measure(frozen: Tensor, adapted: Tensor) -> Measurement:
    """The share of N > 0 images whose two labels (N,) differ."""
    return Measurement(CHANGED, 1 - agreement(frozen, adapted))
