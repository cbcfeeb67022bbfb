"""Clusters of teaching images, and the sheets that ask for their names.

A cluster is the set of teaching images to which the compared model gives the same class. One
answer about a sheet labels several images, and these images are never evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from latte.review.population import ReviewImage, draw

_TYPICAL, _DOUBTFUL = 9, 3
"""Numbers of the most confident and of the least confident images on a sheet."""
_OPTIONS = 5
"""Largest number of classes to offer: the cluster's class and common zero-shot classes."""


@dataclass(frozen=True)
class Cluster:
    """Teaching images to which the compared model gives one class, the most confident first."""

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
    """Return the first and the last of `images`, which are ordered by falling confidence."""
    rest = images[_TYPICAL:]
    return (*images[:_TYPICAL], *rest[max(0, len(rest) - _DOUBTFUL) :])
