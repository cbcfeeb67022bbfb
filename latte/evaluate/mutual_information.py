"""Adjusted mutual information of two labellings of the same items."""

from __future__ import annotations

import torch
from torch import Tensor


def adjusted_mutual_information(labels: Tensor, other: Tensor) -> float:
    """Return the adjusted mutual information of two labellings (N,), which is at most 1.

    It is 1 if each labelling determines the other, and 0 on average for unrelated labellings; it
    can be negative. The formula is (I - E) / (mean of both entropies - E). I is the mutual
    information, and E its expected value for random labellings with these class counts. Without E,
    unrelated labellings with few images per class would be far above 0. The result is 0 if one
    labelling has a single class, or if no two images have the same class.

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
    Each pair of class sizes is computed once, so the time grows with the number of images times the
    number of distinct sizes.

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


def _counts(labels: Tensor) -> Tensor:
    """Return the number of images of each class that occurs."""
    counts = labels.bincount()
    return counts[counts > 0]


def _entropy(counts: Tensor) -> float:
    return float(torch.special.entr(counts / counts.sum().double()).sum())
