"""How far adaptation moved the prototypes, and whether classes became alike."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latte.diagnose.measure import Measure, Measurement
from latte.diagnose.spread import effective_rank
from latte.interfaces import Classifier

_ROWS_A_BLOCK = 2048

DRIFT = Measure(
    "cosine_to_start",
    "cosine to the start",
    "cosine",
    "mean cosine of a class's prototypes with its zero-shot feature; 1: nothing moved",
)
FARTHEST = Measure(
    "lowest_cosine_to_start",
    "the same, lowest class",
    "cosine",
    "of the class that moved most",
)
CLOSEST = Measure(
    "closest_classes",
    "two closest classes",
    "cosine",
    "largest cosine between two classes; near 1: these two can hardly be told apart",
)
RANK = Measure(
    "class_rank",
    "effective rank",
    "count",
    "directions that the class vectors spread over; 1: all alike",
    "Roy and Vetterli (2007), EUSIPCO: The effective rank",
)


def cosine_to_start(classifier: Classifier, class_features: Tensor) -> Tensor:
    """(C,): mean cosine of each class's prototypes with its zero-shot feature, of (C, D)."""
    owners = classifier.owners
    cosines = (classifier.directions * class_features[owners]).sum(dim=1).double()
    sums = torch.zeros(len(class_features), dtype=torch.float64).index_add(0, owners, cosines)
    return sums / owners.bincount(minlength=len(class_features))


def closest_classes(classifier: Classifier) -> float:
    """The largest cosine between prototypes of different classes; NaN with a single class."""
    if classifier.classes == 1:
        return math.nan
    weights, owners = classifier.directions, classifier.owners
    return max(
        float((rows @ weights.T).where(own.unsqueeze(1) != owners, -torch.inf).max())
        for rows, own in zip(
            torch.split(weights, _ROWS_A_BLOCK), torch.split(owners, _ROWS_A_BLOCK), strict=True
        )
    )


def likeness_measures(classifier: Classifier) -> list[Measurement]:
    """Whether classes are alike: of the zero-shot classifier, and of the adapted one."""
    ones = torch.ones(len(classifier.weights))
    return [
        Measurement(CLOSEST, closest_classes(classifier)),
        Measurement(RANK, effective_rank(classifier.directions, ones)),
    ]


def drift_measures(classifier: Classifier, class_features: Tensor) -> list[Measurement]:
    """How far the prototypes are from the zero-shot features (C, D)."""
    cosines = cosine_to_start(classifier, class_features)
    return [
        Measurement(DRIFT, float(cosines.mean())),
        Measurement(FARTHEST, float(cosines.min())),
    ]
