"""How much one labelling tells about another, beyond what any two labellings share by chance."""

from __future__ import annotations

import torch
from torch import Tensor


def adjusted_mutual_information(labels: Tensor, other: Tensor) -> float:
    """1 if each of two labellings (N,) follows from the other, 0 as by chance; may be below 0.

    (I - E) / (mean of both entropies - E), where E is the mutual information expected of random
    labellings with these class counts. Plain normalised information would be far above 0 for
    unrelated labels wherever images are few for the number of classes. Where nothing can be told,
    because one labelling has a single class or every image is a class of its own, it is 0.

    Vinh, Epps and Bailey (2010), Journal of Machine Learning Research 11:2837-2854 (AMI, sum).
    """
    counts, other_counts = _counts(labels), _counts(other)
    expected = expected_mutual_information(counts, other_counts)
    highest = (_entropy(counts) + _entropy(other_counts)) / 2
    if highest - expected < 1e-12:
        return 0.0
    return (mutual_information(labels, other) - expected) / (highest - expected)


def mutual_information(labels: Tensor, other: Tensor) -> float:
    """Mutual information of two labellings (N,), in nats."""
    images = len(labels)
    pairs, counts = torch.unique(torch.stack([labels, other]), dim=1, return_counts=True)
    both = counts.double()
    first = labels.bincount()[pairs[0]].double()
    second = other.bincount()[pairs[1]].double()
    return float((both / images * (images * both / (first * second)).log()).sum())


def expected_mutual_information(counts: Tensor, other: Tensor) -> float:
    """Mean mutual information in nats over all permutations of labels with positive counts (A,).

    The overlap of two classes is hypergeometric (Vinh et al. 2010, theorem 1). Classes of one size
    are summed once, so that the work grows with the images times the distinct sizes.
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
        told = overlap.double() / images * (images * overlap / (first * second.double())).log()
        terms = (told * log_chance.exp()).where(possible, 0.0)
        expected += times * float((terms * repeats.repeat_interleave(lengths)).sum())
    return expected


def _counts(labels: Tensor) -> Tensor:
    """Of the classes that occur."""
    counts = labels.bincount()
    return counts[counts > 0]


def _entropy(counts: Tensor) -> float:
    return float(torch.special.entr(counts / counts.sum().double()).sum())
