"""How pseudo-labels spread over the classes, and how many of them adaptation changed."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.diagnose.measure import Measure, Measurement
from latte.evaluate.diagnostics import agreement, balance

CHANGED = Measure(
    "labels_changed",
    "labels changed",
    "share",
    "training images that the adapted model labels otherwise than the frozen one; 0: both "
    "pseudo-labels agree everywhere",
)
BALANCE = Measure(
    "balance",
    "class balance",
    "index",
    "entropy of the label counts over log C; 1: every class equally often (your classes need not "
    "be), 0: all images in one class",
)
EMPTY = Measure(
    "empty_classes",
    "classes without images",
    "count",
    "classes that no training image is labelled with: no pseudo-label teaches them",
)
LARGEST = Measure(
    "largest_class",
    "largest class",
    "share",
    "images with the most frequent label; high: labels pile up in one class, or it is that common",
)


def balance_measures(labels: Tensor, classes: int) -> list[Measurement]:
    """How N > 0 labels (N,) spread over the classes."""
    counts = torch.bincount(labels, minlength=classes)
    return [
        Measurement(BALANCE, balance(counts)),
        Measurement(EMPTY, float((counts == 0).sum())),
        Measurement(LARGEST, float(counts.max()) / len(labels)),
    ]


def change_measures(frozen: Tensor, adapted: Tensor) -> list[Measurement]:
    """The share of N > 0 images whose two labels (N,) differ."""
    return [Measurement(CHANGED, 1 - agreement(frozen, adapted))]
