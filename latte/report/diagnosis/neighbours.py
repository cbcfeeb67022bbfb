"""Measure the share of neighbouring images with the same pseudo-label; no text is needed.

Label propagation and clustering assume that neighbouring images mostly have the same label.
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
"""Number of images whose neighbours are searched among all images; the mean over so many images is
accurate to one percentage point."""
_BLOCK_ENTRIES = 2**24
"""Number of entries in the largest block of similarities that is in memory at once."""

PURITY = Measure(
    "neighbour_agreement",
    "neighbours agree",
    "share",
    f"share of an image's {NEIGHBOURS} nearest images (fewer in smaller classes) with the same "
    "label; low: similar images have different labels",
)


@dataclass(frozen=True)
class Neighbours:
    """Nearest images of all training images, or of a sample of them (the queries)."""

    queries: Tensor
    """(Q,): the rows of the images whose neighbours are known."""
    nearest: Tensor
    """(Q, k): the rows of the k images nearest to each query, nearest first."""


def find_neighbours(features: Tensor, seed: int, progress: Progress) -> Neighbours:
    """Return the neighbours of images with unit features (N, D), or of `QUERIES` of the images."""
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
    """Return the rows of all images, or of `QUERIES` random images, ascending: (Q,) int64."""
    if images <= QUERIES:
        return torch.arange(images)
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(images, generator=generator)[:QUERIES].sort().values


def purity(labels: Tensor, near: Neighbours) -> Tensor:
    """Return (Q,): the share of each query's nearest images with the query's label.

    `labels` (N,) are those of all images. The number of nearest images is limited to the number of
    other images with the label, so that small classes can reach 1 too. An image that is the only
    one with its label has NaN.
    """
    own = labels[near.queries]
    same = labels[near.nearest] == own[:, None]
    others = labels.bincount()[own] - 1
    counted = others.clamp_max(near.nearest.shape[1])
    first = torch.arange(near.nearest.shape[1]) < counted[:, None]
    return (same & first).sum(dim=1).double() / counted


def purity_by_chance(labels: Tensor) -> float:
    """Return the expected `purity` of labels (N,) that are independent of the neighbours."""
    counts = labels.bincount().double()
    several = counts[counts > 1]
    return float((several * (several - 1)).sum() / several.sum() / (len(labels) - 1))


def purity_measure(labels: Tensor, near: Neighbours) -> Measurement:
    """Return the mean purity of labels (N,); NaN if no label occurs twice."""
    return Measurement(PURITY, float(purity(labels, near).nanmean()), purity_by_chance(labels))
