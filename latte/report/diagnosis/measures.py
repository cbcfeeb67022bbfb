"""Measures of a run that need no label, with their explanations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from latte.evaluate.similarities import Similarities, agreement, diagnose
from latte.interfaces import Classifier, Interval, Progress
from latte.toolkit.neighbours import nearest_neighbours

Unit = Literal["share", "points", "cosine", "index"]
"""`share`: a fraction, shown in percent. `points`: a difference of fractions, shown in percentage
points. `cosine`: a cosine or a difference of cosines. `index`: a plain number, mostly from 0 to
1."""


@dataclass(frozen=True)
class Measure:
    """A quantity that is measured in every run, with its name, unit and explanation."""

    key: str
    name: str
    unit: Unit
    reading: str
    """Explanation of the measure, and of what high or low values mean."""


@dataclass(frozen=True)
class Measurement:
    """A measure's value in one run."""

    measure: Measure
    value: float
    """NaN if there is nothing to measure, such as the margin with a single class."""
    chance: float | None = None
    """Expected value if labels are independent of images; None if it is 0 or undefined."""
    interval: Interval | None = None


@dataclass(frozen=True)
class Section:
    """Measurements of one part of a run, such as its prototypes, under a title."""

    part: str
    title: str
    measurements: tuple[Measurement, ...]

    @property
    def by_key(self) -> dict[str, Measurement]:
        """The measurements by their name in JSON, such as `adapted.labels_changed`."""
        return {f"{self.part}.{one.measure.key}": one for one in self.measurements}


NEIGHBOURS = 10
QUERIES = 10_000
"""Largest number of images whose neighbours are searched; their mean is accurate to a point."""
_BLOCK_ENTRIES = 2**24
"""Largest number of similarities that are in memory at once."""
_PROTOTYPES_PER_BLOCK = 2048

PURITY = Measure(
    "neighbour_agreement",
    "neighbours agree",
    "share",
    f"share of an image's {NEIGHBOURS} nearest images (fewer in smaller classes) with the same "
    "label; low: similar images have different labels",
)
CONFIDENCE = Measure(
    "confidence",
    "confidence",
    "share",
    "mean probability of the top class; high: confident, which is not the same as right",
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
class Neighbours:
    """The images nearest to each training image, or to each image of a sample (the queries)."""

    queries: Tensor
    """(Q,): indices of the images whose neighbours are known."""
    nearest: Tensor
    """(Q, k): indices of the k images nearest to each query, nearest first."""


def find_neighbours(features: Tensor, seed: int, progress: Progress) -> Neighbours:
    """Find the nearest images of all images, or of a sample of them, by unit features (N, D)."""
    queries = choose_queries(len(features), seed)
    with progress.task("nearest images", len(queries), "images") as task:
        _, nearest = nearest_neighbours(
            features,
            NEIGHBOURS,
            queries,
            block_bytes=_BLOCK_ENTRIES * features.element_size(),
            advance=task.advance,
        )
    return Neighbours(queries, nearest)


def choose_queries(images: int, seed: int) -> Tensor:
    """Return sorted indices (Q,) of all images, or of `QUERIES` random ones if there are more."""
    if images <= QUERIES:
        return torch.arange(images)
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(images, generator=generator)[:QUERIES].sort().values


def purity(labels: Tensor, near: Neighbours) -> Tensor:
    """Return, per query image, the share of its nearest images that have its label: (Q,).

    `labels` (N,) are the labels of all images. If n other images have the query's label, at most
    the n nearest images count, so that small classes can reach 1 too. For n = 0, the value is NaN.
    """
    own = labels[near.queries]
    same = labels[near.nearest] == own[:, None]
    others = labels.bincount()[own] - 1
    counted = others.clamp_max(near.nearest.shape[1])
    first = torch.arange(near.nearest.shape[1]) < counted[:, None]
    return (same & first).sum(dim=1).double() / counted


def purity_by_chance(labels: Tensor) -> float:
    """Return the expected share of neighbours with the same label if labels (N,) are shuffled."""
    counts = labels.bincount().double()
    several = counts[counts > 1]
    return float((several * (several - 1)).sum() / several.sum() / (len(labels) - 1))


def purity_measure(labels: Tensor, near: Neighbours) -> Measurement:
    """Measure the mean share of neighbours with the same label; NaN if no label occurs twice."""
    return Measurement(PURITY, float(purity(labels, near).nanmean()), purity_by_chance(labels))


def confidence_measures(
    features: Tensor, classifier: Classifier, logit_scale: float
) -> list[Measurement]:
    """Return the mean confidence and margin of a classifier on unit features (N, D), N > 0."""
    similarities = Similarities(
        len(features), classifier.classes, lambda rows: classifier.similarities(features[rows])
    )
    found = diagnose(similarities, logit_scale)
    return [Measurement(CONFIDENCE, found.confidence), Measurement(MARGIN, found.margin)]


def usage_measure(labels: Tensor, classes: int) -> Measurement:
    """Return the share of all classes that occur among the labels (N,)."""
    return Measurement(IN_USE, int((labels.bincount() > 0).sum()) / classes)


def change_measure(zero_shot: Tensor, adapted: Tensor) -> Measurement:
    """Return the share of N > 0 images whose zero-shot label and adapted label (N,) differ."""
    return Measurement(CHANGED, 1 - agreement(zero_shot, adapted))


def closest_classes(classifier: Classifier) -> Measurement:
    """Return the largest cosine between prototypes of two classes; NaN with a single class."""
    if classifier.classes == 1:
        return Measurement(CLOSEST, math.nan)
    weights, owners = classifier.directions, classifier.owners
    blocks = (torch.split(one, _PROTOTYPES_PER_BLOCK) for one in (weights, owners))
    largest = max(
        float((rows @ weights.T).where(own.unsqueeze(1) != owners, -torch.inf).max())
        for rows, own in zip(*blocks, strict=True)
    )
    return Measurement(CLOSEST, largest)
