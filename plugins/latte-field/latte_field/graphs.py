"""Sparse graphs of class texts and images, and of neighbouring images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latte.api import nearest_neighbours, symmetric_graph

_TINY = 1e-12


@dataclass(frozen=True)
class TextGraph:
    """Symmetric graph of C class texts and N images, normalised by the roots of its degrees."""

    edges: Tensor
    """(C + N, C + N): sparse W + W^T."""
    roots: Tensor
    """(C + N, 1): D^-1/2."""

    @classmethod
    def of(cls, weights: Tensor, nodes: Tensor, texts: int) -> TextGraph:
        """Return the graph in which image i is linked to `nodes[i]` (N, k) with `weights` (N, k).

        Nodes below `texts` are class texts, and node `texts` + j is image j.
        """
        text_rows = (texts, weights.shape[1])
        edges = symmetric_graph(
            torch.cat([weights.new_zeros(text_rows), weights]),
            torch.cat([nodes.new_zeros(text_rows), nodes]),
        )
        degrees = edges @ weights.new_ones(texts + len(weights), 1)
        return cls(edges, degrees.clamp_min(_TINY).rsqrt())

    def spread(self, scores: Tensor) -> Tensor:
        """Return D^-1/2 (W + W^T) D^-1/2 times `scores` (C + N, K)."""
        return self.roots * (self.edges @ (self.roots * scores))


def neighbour_graph(images: Tensor, count: int) -> Tensor:
    """Return (W + W^T) / 2k, where W_ij is the cosine of i and its neighbour j, at least 0."""
    cosines, indices = nearest_neighbours(images, count)
    return symmetric_graph(cosines.clamp_min(0) / max(1, 2 * indices.shape[1]), indices)
