"""Centroids of classes over images and texts (ReCLIP's visual learner, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor


def class_centroids(nodes: Tensor, labels: Tensor, counted: Tensor, texts: Tensor) -> Tensor:
    """Return unit means (C, D) of the unit rows `nodes` (n, D) with each class's label (n,).

    Only rows that are `counted` (n,) enter; a class without any keeps its row of `texts` (C, D).
    """
    sums = torch.zeros_like(texts).index_add_(0, labels[counted], nodes[counted])
    lengths = sums.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, sums / lengths, texts)
