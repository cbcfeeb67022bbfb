"""Features of image-only encoders beside the CLIP's, as far as both see the same classes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.toolkit.neighbours import nearest_neighbours

_NEIGHBOURS = 10
_LEAST_SHARE = 0.6
"""Encoders whose neighbours agree less, relative to the CLIP's neighbours, have the weight 0."""
_LEAST_EXCESS = 0.1
"""Encoders whose neighbours agree less than this, beyond chance, have the weight 0 too: in a small
folder, random features can agree as much."""


def neighbour_agreement(indices: Tensor, labels: Tensor) -> float:
    """Return how often neighbours have the same label, beyond chance, in [0, 1].

    `indices` (N, k) are the neighbours of each image, and `labels` (N,) int64 their classes. Chance
    is the probability that two random images have the same label.

    Example:
        >>> import torch
        >>> from latte.api import neighbour_agreement
        >>> pairs = torch.tensor([[1], [0], [3], [2]])
        >>> neighbour_agreement(pairs, torch.tensor([0, 0, 1, 1]))
        1.0
    """
    shares = labels.bincount().double() / len(labels)
    chance = float(shares @ shares)
    same = float((labels[indices] == labels.unsqueeze(1)).double().mean())
    return max(0.0, (same - chance) / (1 - chance)) if chance < 1 else 0.0


def encoder_weights(
    images: Tensor, labels: Tensor, encoder_features: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return the weight in [0, 1] of each encoder beside the CLIP, by the folder's own images.

    An encoder helps if similar images in its space have the same class. The true classes are
    unknown, so `labels` that follow from the CLIP stand for them. Therefore neighbours by the CLIP
    agree best by construction; an encoder whose neighbours agree as often has the weight 1. The
    weight falls to 0 for an encoder whose neighbours agree 0.6 times as often, beyond chance. It is
    also 0 if they agree less than 0.1 beyond chance, which shows nothing in a small folder.

    Args:
        images: (N, D): the CLIP's unit features of the images.
        labels: (N,) int64: labels of the images from the CLIP, or from a person.
        encoder_features: (N, E): unit features from each encoder, by its name.

    Example:
        >>> import torch
        >>> from latte.api import encoder_weights
        >>> images, labels = torch.eye(2).repeat_interleave(20, 0), torch.arange(40) // 20
        >>> encoder_weights(images, labels, {"same": images, "other": torch.eye(2).repeat(20, 1)})
        {'same': 1.0, 'other': 0.0}
    """
    if not encoder_features or len(images) < 2:
        return dict.fromkeys(encoder_features, 0.0)
    reference = neighbour_agreement(nearest_neighbours(images, _NEIGHBOURS)[1], labels)
    weights = {}
    for name, features in encoder_features.items():
        indices = nearest_neighbours(centred_directions(features), _NEIGHBOURS)[1]
        agreement = neighbour_agreement(indices, labels)
        relative = min(1.0, agreement / reference) if reference > 0 else 0.0
        if agreement < _LEAST_EXCESS:
            relative = 0.0
        weights[name] = max(0.0, (relative - _LEAST_SHARE) / (1 - _LEAST_SHARE))
    return weights


def joined_features(
    images: Tensor, encoder_features: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Tensor:
    """Return unit rows (N, D + E + ...) whose cosines average those of the CLIP and of encoders.

    Features of each model are centred first, since a network's features have a large part that all
    images share. The CLIP has the weight 1. If no encoder has a weight above 0, `images` (N, D) are
    returned unchanged.

    Example:
        >>> import torch
        >>> from latte.api import joined_features
        >>> joined_features(torch.eye(4), {"dinov2": torch.eye(4)}, {"dinov2": 0.5}).shape
        torch.Size([4, 8])
    """
    weighted_features = [
        math.sqrt(weights[name]) * centred_directions(features)
        for name, features in encoder_features.items()
        if weights[name] > 0
    ]
    return (
        normalize(torch.cat([centred_directions(images), *weighted_features], dim=1))
        if weighted_features
        else images
    )


def centred_directions(features: Tensor) -> Tensor:
    """Return `features` (N, E) minus their mean, each scaled to unit length."""
    return normalize(features - features.mean(dim=0), dim=1)
