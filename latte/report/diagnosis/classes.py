"""Classes of one run: which of them gained, and whether something without labels tells which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.evaluate.rank_correlation import Correlation, correlate
from latte.interfaces import Evaluation
from latte.report.diagnosis.measure import Measure

IMAGES = Measure("class.images", "images", "count", "training images with this frozen label")
CONFIDENCE = Measure(
    "class.confidence",
    "confidence",
    "share",
    "their mean probability of the top class, frozen CLIP",
)
PURITY = Measure(
    "class.neighbour_agreement",
    "neighbours agree",
    "share",
    "of their nearest images, those of the class",
)
KEPT = Measure(
    "class.labels_kept", "labels kept", "share", "of these images, those that keep the label"
)
NAMED = Measure(
    "names_label", "texts name it", "share", "of their texts, those nearest to the class"
)


@dataclass(frozen=True)
class ClassRelation:
    """How one measure of a class goes with the class's gain in recall."""

    measure: Measure
    values: tuple[float, ...]
    """(C) in label order; NaN for a class without anything to measure."""
    correlation: Correlation


def class_means(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The mean of `values` (N,) over the images with each label (N,): (C,), NaN without images.

    Values that are no numbers are left out.
    """
    counted = values.isfinite()
    values, labels = values[counted].double(), labels[counted]
    sums = torch.zeros(classes, dtype=torch.float64).index_add(0, labels, values)
    return sums / labels.bincount(minlength=classes)


def recall_gains(zero_shot: Evaluation, adapted: Evaluation) -> list[float]:
    """Adapted minus zero-shot recall of each class; NaN for a class without test images."""
    return [
        (now.correct - was.correct) / now.images if now.images else math.nan
        for was, now in zip(zero_shot.classes, adapted.classes, strict=True)
    ]


def relate_classes(
    measured: Mapping[Measure, Tensor], gains: Sequence[float]
) -> list[ClassRelation]:
    """Each label-free measure (C,) against the gains, with a bootstrap interval over classes."""
    return [
        ClassRelation(measure, tuple(values.tolist()), correlate(values.tolist(), gains, True))
        for measure, values in measured.items()
    ]
