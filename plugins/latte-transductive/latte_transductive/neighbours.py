"""The graph of images that look alike, and how far labels agree with it."""

from __future__ import annotations

import warnings
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from latte.api import nearest_neighbours


@dataclass(frozen=True)
class Neighbours:
    """The nearest other images of N images."""

    indices: Tensor
    """(N, k) int64."""
    graph: Tensor
    """(N, N) sparse CSR: (w_ij + w_ji) / 2k, with w_ij the cosine of i and its neighbour j, 0 where
    that is negative or j is none of i's neighbours (the affinity of TransCLIP's update of z)."""

    def agreement(self, labels: Tensor, classes: int) -> float:
        """Share of neighbours with the same label (N,), beyond chance: 0 to 1.

        Chance is that of two images drawn at random.
        """
        shares = labels.bincount(minlength=classes).double() / len(labels)
        chance = float(shares @ shares)
        same = float((labels[self.indices] == labels.unsqueeze(1)).double().mean())
        return max(0.0, (same - chance) / (1 - chance)) if chance < 1 else 0.0


def neighbours_of(rows: Tensor, count: int) -> Neighbours | None:
    """Return the `count` nearest others of each unit row (N, D), by cosine; fewer where N is small.

    None without any. The latest answers are remembered for as long as `rows` lives, so that a
    labeler and a guard look only once.
    """
    kept = min(count, len(rows) - 1)
    if kept < 1:
        return None
    known = _known()
    if rows not in known or known[rows].indices.shape[1] != kept:
        known[rows] = _found(rows, kept)
    return known[rows]


@cache
def _known() -> MutableMapping[Tensor, Neighbours]:
    from torch.utils.weak import WeakTensorKeyDictionary

    return WeakTensorKeyDictionary()


def _found(rows: Tensor, kept: int) -> Neighbours:
    images = len(rows)
    cosines, indices = nearest_neighbours(rows, kept)
    own = torch.arange(images, device=rows.device).repeat_interleave(kept)
    others = indices.flatten()
    shares = cosines.flatten().clamp_min(0) / (2 * kept)
    graph = torch.sparse_coo_tensor(
        torch.stack([torch.cat([own, others]), torch.cat([others, own])]),
        shares.repeat(2),
        (images, images),
        check_invariants=False,
    ).coalesce()
    return Neighbours(indices, _compressed(graph))


def _compressed(graph: Tensor) -> Tensor:
    """CSR of a coalesced matrix."""
    row, column = graph.indices()
    ends = row.bincount(minlength=len(graph)).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        starts = torch.cat([ends.new_zeros(1), ends])
        return torch.sparse_csr_tensor(
            starts, column, graph.values(), graph.shape, check_invariants=False
        )
