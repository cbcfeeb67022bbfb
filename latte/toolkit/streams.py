"""A label stream in which every sample counts fully."""

from __future__ import annotations

from torch import Tensor

from latte.interfaces import LabelStream


def full_stream(name: str, labels: Tensor, image_features: Tensor, scale: float) -> LabelStream:
    """Return the stream `name` of `labels` (B,) with weight 1 for each of B samples.

    `image_features` (B, D) give device and dtype; `scale` multiplies the stream's loss.
    """
    return LabelStream(name, labels, image_features.new_ones(len(labels)), scale)
