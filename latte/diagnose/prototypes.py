"""Whether two classes of a classifier are alike."""

from __future__ import annotations

import math

import torch

from latte.diagnose.measure import Measure, Measurement
from latte.interfaces import Classifier

_ROWS_A_BLOCK = 2048

CLOSEST = Measure(
    "closest_classes",
    "two closest classes",
    "cosine",
    "largest cosine between two classes; near 1: these two can hardly be told apart",
)


def closest_classes(classifier: Classifier) -> Measurement:
    """The largest cosine between prototypes of different classes; NaN with a single class."""
    if classifier.classes == 1:
        return Measurement(CLOSEST, math.nan)
    weights, owners = classifier.directions, classifier.owners
    largest = max(
        float((rows @ weights.T).where(own.unsqueeze(1) != owners, -torch.inf).max())
        for rows, own in zip(
            torch.split(weights, _ROWS_A_BLOCK), torch.split(owners, _ROWS_A_BLOCK), strict=True
        )
    )
    return Measurement(CLOSEST, largest)
