"""Measure how well descriptions distinguish classes, and how much their texts differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from latte.evaluate.mutual_information import adjusted_mutual_information
from latte.evaluate.similarities import agreement
from latte.interfaces import Classifier
from latte.report.diagnosis.measures import (
    IMAGES_PER_BLOCK,
    Measure,
    Measurement,
    Section,
    make_section,
)
from latte.toolkit.mixer import margin_weights

_MIXER = "LatteCLIP (Cao et al. 2025, WACV), dynamic feature mixer"

REFUSED = Measure("refused", "refused", "share", "images that the describer gave no text for")
DISTINCT = Measure(
    "distinct",
    "distinct texts",
    "share",
    "distinct texts per image; low: many images are described by the same words",
)
NAMED = Measure(
    "names_label",
    "names the label",
    "share",
    "texts that are nearest to the image's frozen label; high: texts repeat that label, low: they "
    "name other classes or none",
)
INFORMATION = Measure(
    "information",
    "information on the label",
    "index",
    "adjusted mutual information of the class nearest to the text and the frozen label; 0: as by "
    "chance, 1: each determines the other",
    "Vinh, Epps and Bailey (2010), Journal of Machine Learning Research 11:2837-2854",
)
ALIKE = Measure(
    "pairwise_cosine",
    "similarity of texts",
    "cosine",
    "mean cosine of two images' texts; 1: all texts say the same",
)
MARGIN = Measure(
    "margin",
    "mixer margin",
    "cosine",
    "mean margin between the two zero-shot classes nearest to a text; low: undecided",
    _MIXER,
)
WEIGHT = Measure(
    "weight",
    "weight in the mix",
    "share",
    "mean share that LatteCLIP's mixer gives this text among all of an image's texts at the start",
    _MIXER,
)


@dataclass(frozen=True)
class Texts:
    """Features of the description texts of N images."""

    features: Tensor
    """(U, D): frozen unit features of the distinct texts."""
    rows: Mapping[str, Tensor]
    """By description, in the recipe's order: each image's text, as an index (N,) into `features`. A
    description of scope `class` has the text of the image's zero-shot label. If the describer
    refused an image, it is the replacement that training uses. If an image has several texts, it is
    the first that was not refused."""
    answered: Mapping[str, Tensor]
    """By description that a describer writes: bool (N,), True for images with a text."""
    leaking: frozenset[str]
    """Names of the descriptions whose prompt contains the zero-shot label."""
    classifier: Classifier
    weights: Mapping[str, float] = field(default_factory=dict)
    """The recipe's weight of each description when texts are mixed; 1 for those not listed."""

    @cached_property
    def nearest(self) -> Tensor:
        """(U,) int64: the class nearest to each text."""
        blocks = torch.split(self.features, IMAGES_PER_BLOCK)
        return torch.cat([self.classifier.similarities(block).argmax(dim=1) for block in blocks])

    @cached_property
    def margins(self) -> Tensor:
        """(U,): the weight that LatteCLIP's mixer gives each text."""
        blocks = torch.split(self.features, IMAGES_PER_BLOCK)
        return torch.cat([margin_weights(block, self.classifier) for block in blocks])

    def named(self, description: str, labels: Tensor) -> Tensor:
        """Return (N,): 1 if an image's text is nearest to its class in `labels`, else 0.

        Images whose text was refused get NaN.
        """
        same = (self.nearest[self.rows[description]] == labels).double()
        return same.where(self.answered[description], torch.nan)


def description_sections(texts: Texts, labels: Tensor) -> list[Section]:
    """Return a section per description; empty without describer. `labels` are zero-shot (N,)."""
    if not texts.answered:
        return []
    weights = mix_shares(
        [texts.margins[rows] * texts.weights.get(name, 1.0) for name, rows in texts.rows.items()]
    )
    return [
        make_section(
            f"description `{name}`",
            f"description.{name}",
            [
                *(_text_measures(texts, name, labels) if name in texts.answered else ()),
                Measurement(MARGIN, float(texts.margins[rows].double().mean())),
                Measurement(WEIGHT, weight),
            ],
        )
        for (name, rows), weight in zip(texts.rows.items(), weights, strict=True)
    ]


def mix_shares(margins: list[Tensor]) -> list[float]:
    """Return each description's mean share when texts are mixed by positive `margins` (N,)."""
    stacked = torch.stack(margins).double()
    return (stacked / stacked.sum(dim=0)).mean(dim=1).tolist()


def agreement_by_chance(labels: Tensor, other: Tensor, classes: int) -> float:
    """Return the expected agreement of two labellings (N,) if both are shuffled at random."""
    counts = [one.bincount(minlength=classes).double() for one in (labels, other)]
    return float((counts[0] * counts[1]).sum()) / len(labels) ** 2


def mean_pairwise_cosine(features: Tensor, counts: Tensor) -> float:
    """Return the mean cosine over all pairs of n vectors; NaN for fewer than two vectors.

    Args:
        features: distinct unit vectors (U, D).
        counts: number of occurrences of each vector (U,); n is their sum.
    """
    total = float(counts.sum())
    if total < 2:
        return math.nan
    length = float((features.double() * counts.double().unsqueeze(1)).sum(dim=0).square().sum())
    return (length - total) / (total * (total - 1))


def _text_measures(texts: Texts, name: str, labels: Tensor) -> list[Measurement]:
    """Measure the texts that a describer wrote, without the replacements of refused texts."""
    answered = texts.answered[name]
    refused = Measurement(REFUSED, 1 - float(answered.double().mean()))
    if not answered.any():
        others = (DISTINCT, NAMED, INFORMATION, ALIKE)
        return [refused, *(Measurement(measure, math.nan) for measure in others)]
    rows, own = texts.rows[name][answered], labels[answered]
    distinct, counts = torch.unique(rows, return_counts=True)
    features, nearest = texts.features[distinct], texts.nearest[rows]
    chance = agreement_by_chance(nearest, own, texts.classifier.classes)
    return [
        refused,
        Measurement(DISTINCT, len(distinct) / len(rows)),
        Measurement(NAMED, agreement(nearest, own), chance),
        Measurement(INFORMATION, adjusted_mutual_information(nearest, own)),
        Measurement(ALIKE, mean_pairwise_cosine(features, counts)),
    ]
