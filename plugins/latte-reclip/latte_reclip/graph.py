"""Symmetric, normalised graph of the k nearest neighbours of n nodes, in O(n·k) memory."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def propagation_matrix(cosines: Tensor, indices: Tensor) -> Tensor:
    """Return S = D^-1/2 W D^-1/2 as a sparse CSR matrix (n, n).

    `cosines` and `indices` (n, k) are each node's nearest neighbours. A holds (cosine + 1) / 2 for
    them, W is the mean of A and its transpose, and D is the diagonal of the row sums of W.
    Source: ReCLIP, section 3.2, after Iscen et al. 2019.
    """
    nodes, kept = indices.shape
    own = torch.arange(nodes, device=indices.device).repeat_interleave(kept)
    others = indices.flatten()
    # Rounding can make the cosine of opposite vectors smaller than -1.
    half = ((cosines.flatten() + 1) / 4).clamp_min(0)
    places = torch.stack([torch.cat([own, others]), torch.cat([others, own])])
    graph = torch.sparse_coo_tensor(
        places, half.repeat(2), (nodes, nodes), check_invariants=False
    ).coalesce()
    scales = torch.sparse.sum(graph, dim=1).to_dense().rsqrt()
    scales = scales.where(scales.isfinite(), 0.0)
    row, column = graph.indices()
    values = scales[row] * graph.values() * scales[column]
    return _compressed(row, column, values, nodes)


def _compressed(row: Tensor, column: Tensor, values: Tensor, nodes: int) -> Tensor:
    """Return the CSR matrix (nodes, nodes) of entries that are sorted by row."""
    ends = row.bincount(minlength=nodes).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        starts = torch.cat([ends.new_zeros(1), ends])
        return torch.sparse_csr_tensor(
            starts, column, values, (nodes, nodes), check_invariants=False
        )
