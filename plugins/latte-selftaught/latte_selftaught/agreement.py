"""Agreement of similar images on their labels: how much of its lack new labels remove."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import nearest_neighbours, neighbour_agreement

LEAST_REMOVED = 0.25
"""Least removed disagreement with which labels are accepted; `benchmarks self_taught` chose it."""
MOST_IMAGES = 2_000
"""Number of images that are drawn at random if there are more."""
_NEIGHBOURS = 5


def removed_disagreement(images: Tensor, before: Tensor, after: Tensor) -> float:
    """Return the share of the disagreement between similar images that new labels remove.

    The agreement a of labels is Cohen's kappa of an image's label and those of its five nearest
    neighbours, among unit features (N, D) that are centred: 0 at chance level, 1 if all agree. The
    result is (a_after - a_before) / (1 - a_before): 1 if similar images have the same new labels, 0
    if the labels `after` (N,) agree no more than the labels `before` (N,), and less than 0 if they
    agree less. It is 0 if nothing can be removed.

    Example:
        >>> twins = torch.eye(4).repeat_interleave(10, dim=0)
        >>> right = torch.arange(4).repeat_interleave(10)
        >>> removed_disagreement(twins, torch.arange(40) % 4, right)
        1.0
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    rows = order[:MOST_IMAGES]
    centred = normalize(images[rows] - images.mean(dim=0), dim=1)
    indices = nearest_neighbours(centred, _NEIGHBOURS)[1]
    old, new = (neighbour_agreement(indices, labels[rows]) for labels in (before, after))
    return (new - old) / (1 - old) if old < 1 else 0.0
