"""Label streams in which every sample has weight 1."""

from __future__ import annotations

from torch import Tensor

from latte.interfaces import LabelStream


def full_stream(name: str, labels: Tensor, image_features: Tensor, scale: float) -> LabelStream:
    """Return the stream `name` of `labels` (B,) with weight 1 for each of B samples.

    The weights have the device and dtype of `image_features` (B, D). `scale` multiplies the
    stream's loss.

    Example:
        >>> import torch
        >>> from latte.api import full_stream
        >>> full_stream("nearest", torch.tensor([1, 0]), torch.eye(2), scale=0.5).weights
        tensor([1., 1.])
    """
    return LabelStream(name, labels, image_features.new_ones(len(labels)), scale)
