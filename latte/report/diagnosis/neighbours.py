"""Share of neighbouring images that have the same pseudo-label; no text is read.

Labels that follow the structure of the images are what label propagation and clustering build on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latte.interfaces import Progress
from latte.report.diagnosis.measure import Measure, Measurement
from latte.toolkit.neighbours import nearest_neighbours

NEIGHBOURS = 10
QUERIES = 10_000
"""Images whose neighbours are looked up, among all images: the mean over so many is sure to one
percentage point."""
_BLOCK_ENTRIES = 2**24
"""Entries of the largest block of similarities that is held at once."""

PURITY = Measure(
    "neighbour_agreement",
    "neighbours agree",
    "share",
    f"of an image's {NEIGHBOURS} nearest images (fewer in smaller classes), those that carry its "
    "label; low: labels cut across what looks alike",
)


@dataclass(frozen=True)
class Neighbours:
    """The images nearest to some of the training images."""

    queries: Tensor
    """(Q,): the images whose neighbours are known."""
    nearest: Tensor
    """(Q, k): the images nearest to each of them, nearest first."""


def find_neighbours(features: Tensor, seed: int, progress: Progress) -> Neighbours:
    """Look up the neighbours of unit features (N, D), or of `QUERIES` of them."""
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
    """Rows of all images, or of `QUERIES` drawn ones, ascending: (Q,) int64."""
    if images <= QUERIES:
        return torch.arange(images)
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(images, generator=generator)[:QUERIES].sort().values


def purity(labels: Tensor, near: Neighbours) -> Tensor:
    """(Q,): the share of each query's nearest images that carry its label, given labels (N,).

    Only as many of its neighbours count as other images carry the label, so that small classes can
    reach 1 too; NaN for an image that is alone with its label.
    """
    own = labels[near.queries]
    same = labels[near.nearest] == own[:, None]
    others = labels.bincount()[own] - 1
    counted = others.clamp_max(near.nearest.shape[1])
    first = torch.arange(near.nearest.shape[1]) < counted[:, None]
    return (same & first).sum(dim=1).double() / counted


def purity_by_chance(labels: Tensor) -> float:
    """Expected `purity` of labels (N,) that are independent of the neighbours."""
    counts = labels.bincount().double()
    several = counts[counts > 1]
    return float((several * (several - 1)).sum() / several.sum() / (len(labels) - 1))


def purity_measure(labels: Tensor, near: Neighbours) -> Measurement:
    """The mean purity of labels (N,) among frozen neighbours; NaN where no label occurs twice."""
    return Measurement(PURITY, float(purity(labels, near).nanmean()), purity_by_chance(labels))
