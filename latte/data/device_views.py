"""Training images that stay on the device, where their random views are made for a batch at once.

The draws are those of every other way to make views, and so is what is done with them; but sums are
taken in floating point where Pillow takes them in integers, so that now and then a value differs by
one of 255, and by what a later change of colours makes of that.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

import torch
from torch import Tensor

from latte.data.device_colours import change_colours
from latte.data.draws import Draw
from latte.data.kernel import resizes_tall_first
from latte.data.prefetch import ordered_map
from latte.data.views import TrainingView, normalise

_VIEWS_AT_ONCE = 64
"""Crops of so many images are padded to one size."""
_DRAWN_AHEAD = 2


class DeviceViews:
    """Views of N images that are resident on one device."""

    def __init__(self, view: TrainingView, images: Sequence[Tensor]) -> None:
        """`images` are (H, W, 3) uint8 each, all on the device; `view` draws."""
        self._view = view
        self._images = images

    def batches(
        self, batches: Sequence[Tensor], epoch: int
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """`batches` in their order: indices (B,) and random views (B, 3, S, S) on the device."""

        def draw(indices: Tensor) -> tuple[Tensor, list[Draw]]:
            return indices, self.draws(indices, epoch)

        with closing(ordered_map(draw, batches, threads=1, ahead=_DRAWN_AHEAD)) as drawn:
            for indices, draws in drawn:
                yield indices, self.views(indices, draws)

    def draws(self, indices: Tensor, epoch: int) -> list[Draw]:
        """What is shown of the images `indices` (B,)."""
        sizes = [(index, self._images[index].shape) for index in indices.tolist()]
        return [self._view.draw(size[1], size[0], index, epoch) for index, size in sizes]

    def views(self, indices: Tensor, draws: Sequence[Draw]) -> Tensor:
        """Normalised views (B, 3, S, S) float32."""
        pixel_format = self._view.pixel_format
        size = pixel_format.size
        parts = [torch.empty(0, 3, size, size, device=self._images[0].device)]
        for first in range(0, len(draws), _VIEWS_AT_ONCE):
            some = draws[first : first + _VIEWS_AT_ONCE]
            rows = indices[first : first + _VIEWS_AT_ONCE].tolist()
            views = resized_crops([self._images[row] for row in rows], some, size)
            change_colours(views, some)
            parts.append(normalise(views, pixel_format))
        return torch.cat(parts)


def resized_crops(images: Sequence[Tensor], draws: Sequence[Draw], size: int) -> Tensor:
    """The boxes that `draws` cut out of `images` -> (B, 3, size, size), whole numbers to 255.

    Bicubic with antialiasing: along rows, then along columns, each rounded, as Pillow does; the
    other way round where Pillow does that, for what is rounded between them overshoots.
    """
    views = torch.empty(len(draws), 3, size, size, device=images[0].device)
    for columns_first in (False, True):
        rows = [row for row, one in enumerate(draws) if _is_tall(one, size) == columns_first]
        if rows:
            some = [images[row] for row in rows], [draws[row] for row in rows]
            views[torch.tensor(rows, device=views.device)] = _resized(*some, size, columns_first)
    return views


def _is_tall(draw: Draw, size: int) -> bool:
    _, _, width, height = draw.box
    return resizes_tall_first() and height > size and height - size > 2 * (width - size)


def _resized(
    images: Sequence[Tensor], draws: Sequence[Draw], size: int, columns_first: bool
) -> Tensor:
    widths, heights = ([draw.box[side] for draw in draws] for side in (2, 3))
    device = images[0].device
    crops = torch.zeros(len(draws), 3, max(heights), max(widths), device=device)
    for crop, image, draw in zip(crops, images, draws, strict=True):
        left, top, width, height = draw.box
        cut = image[top : top + height, left : left + width]
        crop[:, :height, :width] = cut.permute(2, 0, 1)
    across, down = (bicubic_weights(lengths, size, device) for lengths in (widths, heights))
    if columns_first:
        return _rounded(_rounded(down[:, None] @ crops) @ across[:, None].mT)
    return _rounded(down[:, None] @ _rounded(crops @ across[:, None].mT))


def bicubic_weights(lengths: Sequence[int], size: int, device: torch.device) -> Tensor:
    """Weights (B, size, L) that resize rows of B lengths, padded to L = the longest.

    Pillow's: Keys' cubic with a = -0.5 (Keys 1981), widened where rows shrink, and cut at the ends.
    """
    length = torch.tensor(lengths, device=device)[:, None, None]
    scale = length.double() / size
    wider = scale.clamp_min(1.0)
    centre = (torch.arange(size, device=device)[:, None] + 0.5) * scale
    place = torch.arange(max(lengths), device=device)
    first = (centre - 2 * wider + 0.5).trunc().clamp_min(0)
    end = torch.minimum((centre + 2 * wider + 0.5).trunc(), length)
    weights = _cubic((place + 0.5 - centre) / wider)
    weights = weights.where((place >= first) & (place < end), 0.0)
    return (weights / weights.sum(dim=-1, keepdim=True)).float()


def _cubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return near.where(x < 1, far.where(x < 2, 0.0))


def _rounded(values: Tensor) -> Tensor:
    return values.add_(0.5).floor_().clamp_(0, 255)
