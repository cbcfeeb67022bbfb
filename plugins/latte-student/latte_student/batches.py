"""Batches of images: their order in an epoch, and their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from latte.api import ImageReference, open_image, parallel_map

View = Callable[[Image.Image, int, int], Tensor]
"""Function of an image, its index and the epoch that returns normalised pixels (3, S, S)."""


def epoch_batches(rows: Tensor, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """Return the `rows` (N,) in random order, in batches whose sizes differ by one at most.

    The order depends on `seed` and `epoch` alone. No batch is much smaller than the others: batch
    normalisation needs several images.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = rows[torch.randperm(len(rows), generator=generator)]
    return list(order.tensor_split(steps_per_epoch(len(rows), batch_size)))


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of batches of an epoch."""
    return max(1, -(-images // batch_size))


def pixels_of(
    images: Sequence[ImageReference], rows: Tensor, view: View, size: int, epoch: int
) -> Tensor:
    """Return the views (B, 3, S, S) of the images with the indices `rows` (B,).

    A large JPEG is decoded at a fraction of its size, at least twice the `size` of a view.
    """

    def view_of(row: int) -> Tensor:
        return view(open_image(images[row], at_least=2 * size), row, epoch)

    return torch.stack([*parallel_map(view_of, rows.tolist())])
