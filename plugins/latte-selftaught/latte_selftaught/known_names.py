"""Agreement of similar images on a class name, which is low if CLIP hardly knows the names."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import nearest_neighbours, neighbour_agreement

BLOCK = 100
"""Number of images among which neighbours are searched; fewer images are not judged.

With more images, neighbours are more alike and agree more, so the number is the same for all.
"""
MOST_BLOCKS = 20
"""Largest number of blocks, which bounds the time for many images."""
LEAST_AGREEMENT = 0.24
"""If the lead is low too, CLIP hardly knows the names below this agreement.

`python -m benchmarks names` chose it.
"""
_NEIGHBOURS = 5


def name_agreement(image_features: Tensor, class_features: Tensor) -> float:
    """Return how often an image and its neighbours have the same name by CLIP, beyond chance.

    Features of images (N, D) are centred, so that no name is the most similar to every image. An
    image's name is the most similar class text of (C, D). Random blocks of `BLOCK` images are
    drawn, and each image is compared with its five nearest neighbours in its block. The result is
    Cohen's kappa, averaged over blocks: 0 if neighbours agree no more than any two images, 1 if
    they always agree. It is NaN with fewer than `BLOCK` images, and if all images get one name.

    Example:
        >>> name_agreement(torch.eye(4).repeat(50, 1), torch.eye(4))
        1.0
    """
    count = min(len(image_features) // BLOCK, MOST_BLOCKS)
    order = torch.randperm(len(image_features), generator=torch.Generator().manual_seed(0))
    rows = order[: count * BLOCK]
    images = image_features[rows] - image_features.mean(dim=0)
    names = (images @ class_features.T).argmax(dim=1)
    if count == 0 or bool((names == names[0]).all()):
        return math.nan
    parts = (torch.split(rows, BLOCK) for rows in (normalize(images, dim=1), names))
    agreements = [
        neighbour_agreement(nearest_neighbours(block, _NEIGHBOURS)[1], block_names)
        for block, block_names in zip(*parts, strict=True)
    ]
    return sum(agreements) / count
