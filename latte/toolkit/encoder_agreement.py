"""Features of image-only encoders beside the CLIP's, if both find the same images similar."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.toolkit.neighbours import nearest_neighbours

_NEIGHBOURS = 8
_LEAST_SHARED = 0.2
"""An encoder is useful if this share of neighbours, beyond chance, is the CLIP's."""
_MOST_COMPARED = 128
"""Largest number of images among which neighbours are compared."""


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


def is_useful_encoder(images: Tensor, encoder_features: Tensor) -> bool:
    """Return True if neighbours by the CLIP are often neighbours by an image-only encoder, too.

    Random features share as many neighbours as chance, so an encoder that sees nothing is found
    without labels. Neighbours are searched among every K-th image, because more images share fewer.

    Args:
        images: (N, D): the CLIP's unit features of the images.
        encoder_features: (N, E): unit features from the encoder.

    Example:
        >>> import torch
        >>> from latte.api import is_useful_encoder
        >>> images = torch.eye(40)[torch.arange(80) // 2]
        >>> is_useful_encoder(images, images), is_useful_encoder(images, torch.eye(80))
        (True, False)
    """
    step = math.ceil(len(images) / _MOST_COMPARED)
    near, near_by_encoder = (
        nearest_neighbours(centred_directions(features[::step]), _NEIGHBOURS)[1]
        for features in (images, encoder_features)
    )
    chance = near.shape[1] / max(1, len(near) - 1)
    shared = (near.unsqueeze(2) == near_by_encoder.unsqueeze(1)).sum() / max(1, near.numel())
    return float(shared) - chance > _LEAST_SHARED * (1 - chance)


def joined_features(images: Tensor, encoder_features: Mapping[str, Tensor]) -> Tensor:
    """Return unit rows (N, D + E + ...) whose cosines average those of the CLIP and of encoders.

    Features of each model are centred first, since a network's features have a large part that all
    images share. Encoders that are not useful are left out (`is_useful_encoder`); without a useful
    one, `images` (N, D) are returned unchanged.

    Example:
        >>> import torch
        >>> from latte.api import joined_features
        >>> images = torch.eye(40)[torch.arange(80) // 2]
        >>> joined_features(images, {"dinov2": images}).shape
        torch.Size([80, 80])
    """
    useful = [
        features for features in encoder_features.values() if is_useful_encoder(images, features)
    ]
    if not useful:
        return images
    return normalize(torch.cat([*map(centred_directions, [images, *useful])], dim=1))


def centred_directions(features: Tensor) -> Tensor:
    """Return `features` (N, E) minus their mean, each scaled to unit length."""
    return normalize(features - features.mean(dim=0), dim=1)
