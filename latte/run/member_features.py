"""Encode a run's images with each member of a model."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.backbone.encode import encode_cached_images
from latte.data.cache import ImageCache
from latte.interfaces import Progress
from latte.models.adapted import Adapted


def encode_members(
    model: Adapted, images: ImageCache, batch_size: int, progress: Progress, name: str
) -> tuple[Tensor, ...]:
    """Encode all images; return the unit features (N, D) of each member, on the CPU."""
    member_features = []
    for member in model.members:
        features = torch.empty(0, member.encoder.embedding_width)
        if len(images):
            with member.encoding():
                features = encode_cached_images(member.encoder, images, batch_size, progress, name)
        member_features.append(features)
    return tuple(member_features)
