"""Graph of each image's nearest neighbours."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from latte.api import Progress, long_task, nearest_neighbours, symmetric_graph


@dataclass(frozen=True)
class Neighbours:
    """Nearest neighbours of each of N images, among the other N - 1."""

    indices: Tensor
    """(N, k) int64: the k nearest other images of each image."""
    graph: Tensor
    """(N, N) sparse CSR with entries (w_ij + w_ji) / 2k. If j is a neighbour of i, w_ij is their
    cosine, at least 0; otherwise w_ij is 0 (the affinity in TransCLIP's update of z).
    """


def neighbours_of(rows: Tensor, count: int, progress: Progress | None = None) -> Neighbours | None:
    """Return the `count` nearest neighbours of each unit vector in `rows` (N, D), by cosine.

    Returns None if N < 2 or `count` < 1. Results are cached until `rows` is freed. If the search
    takes long, `progress` shows how far it is.
    """
    neighbour_count = min(count, len(rows) - 1)
    if neighbour_count < 1:
        return None
    cached = _cache()
    if rows not in cached or cached[rows].indices.shape[1] != neighbour_count:
        with long_task(progress, "find similar images", len(rows), "images") as task:
            cosines, indices = nearest_neighbours(rows, neighbour_count, advance=task.advance)
        weights = cosines.clamp_min(0) / (2 * neighbour_count)
        cached[rows] = Neighbours(indices, symmetric_graph(weights, indices))
    return cached[rows]


@cache
def _cache() -> MutableMapping[Tensor, Neighbours]:
    from torch.utils.weak import WeakTensorKeyDictionary

    return WeakTensorKeyDictionary()
