"""Score without labels that ranks models on the same images."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.toolkit.neighbours import nearest_neighbours

_NEIGHBOURS = 10
_QUERIES = 2000
"""Smallest number of images whose neighbours are looked up; if there are fewer, all images are."""


def model_score(image_features: Tensor, labels: Tensor) -> float:
    """Return how often neighbouring images have the same zero-shot label, beyond chance.

    A score of 1 means always; 0 means as often as two random images. The neighbours of an image are
    the ten nearest images by the cosine of unit features (N, D); `labels` are (N,) int64. The score
    does not depend on the logit scale, so it can rank models; docs/backbones.md compares such ranks
    with measured accuracies.
    """
    images = len(labels)
    shares = labels.bincount().double() / images
    chance = float(shares @ shares)
    if chance == 1:
        return 0.0
    queries = torch.arange(0, images, max(1, images // _QUERIES))
    _, nearest = nearest_neighbours(image_features, _NEIGHBOURS, queries)
    same = float((labels[nearest] == labels[queries].unsqueeze(1)).double().mean())
    return (same - chance) / (1 - chance)
