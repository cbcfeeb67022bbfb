"""Centroids of classes over images and texts (ReCLIP's visual learner, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor


def class_centroids(nodes: Tensor, labels: Tensor, counted: Tensor, texts: Tensor) -> Tensor:
    """Return each class's centroid (C, D): the unit mean of its nodes.

    `nodes` (n, D) are unit vectors with `labels` (n,). Only nodes whose `counted` (n,) is True
    enter the mean. A class without such nodes gets its text from `texts` (C, D) as centroid.
    """
    sums = torch.zeros_like(texts).index_add_(0, labels[counted], nodes[counted])
    lengths = sums.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, sums / lengths, texts)
