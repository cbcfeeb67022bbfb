"""Clusters of teaching images, and the sheets that ask for their names.

A cluster is the set of teaching images to which the compared model gives the same class. One
answer about a sheet names several images, and images are never evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from latte.review.population import ReviewImage, draw

_TYPICAL, _DOUBTFUL = 9, 3
"""Images of a sheet: the most confident ones and the least confident ones."""
_OPTIONS = 5
"""Classes to offer, at most: the cluster's class and the commonest zero-shot classes."""


@dataclass(frozen=True)
class Cluster:
    """Teaching images of one class by the compared model, the most confident first."""

    label: int
    images: tuple[ReviewImage, ...]

    @property
    def options(self) -> tuple[int, ...]:
        """Likely classes, in an order drawn from the images' content."""
        common = Counter(one.zero_shot for one in self.images)
        ranked = sorted(common, key=lambda label: (label != self.label, -common[label], label))
        likely = dict.fromkeys([self.label, *ranked])
        first = self.images[0].key
        return tuple(sorted([*likely][:_OPTIONS], key=lambda label: draw(f"{first} {label}")))


def clusters(images: Sequence[ReviewImage]) -> tuple[Cluster, ...]:
    """Return the clusters of teaching images, the largest first."""
    found: dict[int, list[ReviewImage]] = {}
    for one in sorted(images, key=lambda one: -one.confidence):
        found.setdefault(one.adapted, []).append(one)
    ranked = sorted(found, key=lambda label: (-len(found[label]), label))
    return tuple(Cluster(label, tuple(found[label])) for label in ranked)


def sheet(images: Sequence[ReviewImage]) -> tuple[ReviewImage, ...]:
    """Return typical images and doubtful ones of `images`, which are ordered by confidence."""
    rest = images[_TYPICAL:]
    return (*images[:_TYPICAL], *rest[max(0, len(rest) - _DOUBTFUL) :])
