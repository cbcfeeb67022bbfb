"""Which images are neighbours, in memory that grows with N·k."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

BLOCK_BYTES = 2**27
"""Largest block of similarities that is held at once."""


def neighbour_graph(rows: Tensor, count: int, block_bytes: int = BLOCK_BYTES) -> Tensor:
    """A (N, N) sparse CSR matrix of who is near whom, for unit rows (N, D).

    Entry (i, j) is (w_ij + w_ji) / (2k), where w_ij is the cosine of i and j, 0 where that is
    negative, if j is one of the k = min(count, N - 1) nearest others of i, and 0 if not.
    This is TransCLIP's affinity matrix as its update of z uses it. A row's sum is about the mean
    similarity of its neighbours.
    """
    images = len(rows)
    cosines, indices = _nearest(rows, min(count, images - 1), block_bytes)
    own = torch.arange(images, device=rows.device).repeat_interleave(indices.shape[1])
    others = indices.flatten()
    shares = cosines.flatten().clamp_min(0) / max(2 * indices.shape[1], 1)
    graph = torch.sparse_coo_tensor(
        torch.stack([torch.cat([own, others]), torch.cat([others, own])]),
        shares.repeat(2),
        (images, images),
        check_invariants=False,
    ).coalesce()
    return _compressed(graph)


def _nearest(rows: Tensor, kept: int, block_bytes: int) -> tuple[Tensor, Tensor]:
    """Cosines and indices (N, kept) of the nearest other rows."""
    images = len(rows)
    cosines = rows.new_empty(images, kept)
    indices = torch.empty(images, kept, dtype=torch.int64, device=rows.device)
    size = max(1, block_bytes // (images * rows.element_size()))
    for first in range(0, images, size):
        block = rows[first : first + size] @ rows.T
        block.diagonal(first).fill_(-torch.inf)
        cosines[first : first + size], indices[first : first + size] = block.topk(kept, dim=1)
    return cosines, indices


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
