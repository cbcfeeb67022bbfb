"""Measures of a classifier: its confidence, the classes it predicts, and its closest classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.evaluate.similarities import agreement, confidence_and_margin
from latte.interfaces import Classifier
from latte.report.diagnosis.measure import Measure, Measurement

IMAGES_PER_BLOCK = 8192
"""Number of images whose similarities are in memory at once."""
_PROTOTYPES_PER_BLOCK = 2048

CONFIDENCE = Measure(
    "confidence",
    "confidence",
    "share",
    "mean probability of the top class; high: confident, which is not the same as right",
    "Hendrycks and Gimpel (2017), ICLR: maximum softmax probability",
)
MARGIN = Measure(
    "margin",
    "margin",
    "cosine",
    "mean cosine of the nearest class minus that of the second; low: small shifts change labels",
)
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
    "classes with at least one training image; low: only some occur, or labels concentrate on a "
    "few",
)
CLOSEST = Measure(
    "closest_classes",
    "two closest classes",
    "cosine",
    "largest cosine between two classes; near 1: these two are hard to distinguish",
)


@dataclass(frozen=True)
class Confidence:
    """Labels, confidence and margins of N images by one classifier."""

    labels: Tensor
    """(N,) int64: the nearest class."""
    confidence: Tensor
    """(N,): the probability of the nearest class, by softmax of logit scale times cosine."""
    margin: Tensor
    """(N,): cosine of the nearest minus that of the second class; 0 with a single class."""


def confidence(features: Tensor, classifier: Classifier, logit_scale: float) -> Confidence:
    """Classify images with unit features (N, D), N > 0, block by block."""
    blocks = []
    for block in torch.split(features, IMAGES_PER_BLOCK):
        similarities = classifier.similarities(block)
        labels = similarities.argmax(dim=1)
        blocks.append((labels, *confidence_and_margin(similarities, logit_scale)))
    return Confidence(*(torch.cat(column) for column in zip(*blocks, strict=True)))


def confidence_measures(found: Confidence) -> list[Measurement]:
    """Return the measurements of mean confidence and mean margin."""
    return [
        Measurement(CONFIDENCE, float(found.confidence.double().mean())),
        Measurement(MARGIN, float(found.margin.double().mean())),
    ]


def usage_measure(labels: Tensor, classes: int) -> Measurement:
    """Return the share of all classes that occur among the labels (N,)."""
    return Measurement(IN_USE, int((labels.bincount() > 0).sum()) / classes)


def change_measure(zero_shot: Tensor, adapted: Tensor) -> Measurement:
    """Return the share of images whose zero-shot and adapted labels (N,) differ; N > 0."""
    return Measurement(CHANGED, 1 - agreement(zero_shot, adapted))


def closest_classes(classifier: Classifier) -> Measurement:
    """Return the largest cosine between prototypes of two classes; NaN with a single class."""
    if classifier.classes == 1:
        return Measurement(CLOSEST, math.nan)
    weights, owners = classifier.directions, classifier.owners
    largest = max(
        float((rows @ weights.T).where(own.unsqueeze(1) != owners, -torch.inf).max())
        for rows, own in zip(
            torch.split(weights, _PROTOTYPES_PER_BLOCK),
            torch.split(owners, _PROTOTYPES_PER_BLOCK),
            strict=True,
        )
    )
    return Measurement(CLOSEST, largest)
