"""Measures of descriptions: how well texts distinguish classes, and how much texts differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from latte.evaluate.similarities import agreement
from latte.interfaces import Classifier
from latte.report.diagnosis.classifier import IMAGES_PER_BLOCK
from latte.report.diagnosis.measure import Measure, Measurement, Section, make_section
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
    "mean cosine of two images' texts; 1: the same is said of everything",
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
    """Descriptions of N images: features of the texts, and their nearest classes."""

    features: Tensor
    """(U, D): frozen unit features of the distinct texts."""
    rows: Mapping[str, Tensor]
    """By description, in the recipe's order: the row (N,) in `features` of each image's text. A
    description of scope `class` has the text of the image's zero-shot label. If the describer
    refused an image, the text is the replacement that training uses. If an image has several texts,
    the first one that was not refused is used."""
    answered: Mapping[str, Tensor]
    """By description, only those from a describer: bool (N,), True for images with a text."""
    leaking: frozenset[str]
    """Descriptions whose prompt contains the zero-shot label."""
    classifier: Classifier
    weights: Mapping[str, float] = field(default_factory=dict)
    """The recipe's weight of each description in the mix; 1 for descriptions not listed."""

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
        """Return (N,): 1 if an image's text is nearest to its label, else 0; NaN if refused."""
        same = (self.nearest[self.rows[description]] == labels).double()
        return same.where(self.answered[description], torch.nan)


def description_sections(texts: Texts, labels: Tensor) -> list[Section]:
    """Return a section per description, given zero-shot labels (N,); empty without describer."""
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
    """Return each description's mean share of the mix, from positive weighted margins (N,)."""
    stacked = torch.stack(margins).double()
    return (stacked / stacked.sum(dim=0)).mean(dim=1).tolist()


def agreement_by_chance(labels: Tensor, other: Tensor, classes: int) -> float:
    """Return the expected agreement of unrelated labellings (N,) with these class counts."""
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


def adjusted_mutual_information(labels: Tensor, other: Tensor) -> float:
    """Return the adjusted mutual information of two labellings (N,), which is at most 1.

    It is 1 if each labelling determines the other, and 0 on average for unrelated labellings; it
    can be negative. The formula is (I - E) / (mean of both entropies - E), with the mutual
    information I and its expected value E for random labellings with these class counts. Without
    E, unrelated labellings with few images per class would be far above 0. The result is 0 if one
    labelling has a single class, or if every image has a class of its own.

    Vinh, Epps and Bailey (2010), Journal of Machine Learning Research 11:2837-2854 (AMI, sum).
    """
    counts, other_counts = _counts(labels), _counts(other)
    expected = expected_mutual_information(counts, other_counts)
    highest = (_entropy(counts) + _entropy(other_counts)) / 2
    if highest - expected < 1e-12:
        return 0.0
    return (mutual_information(labels, other) - expected) / (highest - expected)


def mutual_information(labels: Tensor, other: Tensor) -> float:
    """Return the mutual information of two labellings (N,), in nats."""
    images = len(labels)
    pairs, counts = torch.unique(torch.stack([labels, other]), dim=1, return_counts=True)
    both = counts.double()
    first = labels.bincount()[pairs[0]].double()
    second = other.bincount()[pairs[1]].double()
    return float((both / images * (images * both / (first * second)).log()).sum())


def expected_mutual_information(counts: Tensor, other: Tensor) -> float:
    """Return the mean mutual information of two labellings, in nats, over all permutations.

    The overlap of two classes has a hypergeometric distribution (Vinh et al. 2010, theorem 1).
    Classes of equal size are computed once, so that the work grows with the number of images times
    the number of distinct sizes.

    Args:
        counts: positive numbers of images per class in one labelling (A,).
        other: positive numbers of images per class in the other labelling (B,).
    """
    images = int(counts.sum())
    log_factorial = torch.lgamma(torch.arange(images + 1, dtype=torch.float64) + 1)
    sizes, repeats = torch.unique(other, return_counts=True)
    expected = 0.0
    for first, times in zip(
        *(one.tolist() for one in torch.unique(counts, return_counts=True)), strict=True
    ):
        lengths = sizes.clamp_max(first)
        second = sizes.repeat_interleave(lengths)
        ends = lengths.cumsum(0)
        overlap = torch.arange(1, len(second) + 1) - (ends - lengths).repeat_interleave(lengths)
        neither = images - first - second + overlap
        possible = neither >= 0
        log_chance = (
            log_factorial[first]
            + log_factorial[second]
            + log_factorial[images - first]
            + log_factorial[images - second]
            - log_factorial[images]
            - log_factorial[overlap]
            - log_factorial[first - overlap]
            - log_factorial[second - overlap]
            - log_factorial[neither.clamp_min(0)]
        )
        information = (
            overlap.double() / images * (images * overlap / (first * second.double())).log()
        )
        terms = (information * log_chance.exp()).where(possible, 0.0)
        expected += times * float((terms * repeats.repeat_interleave(lengths)).sum())
    return expected


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


def _counts(labels: Tensor) -> Tensor:
    """Return the number of images of each class that occurs."""
    counts = labels.bincount()
    return counts[counts > 0]


def _entropy(counts: Tensor) -> float:
    return float(torch.special.entr(counts / counts.sum().double()).sum())
