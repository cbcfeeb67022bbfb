"""Random views of training images that stay in a device's memory, made there batch by batch.

Augmentations are the same as on the CPU. Views are the same up to rounding: resizing sums
floating-point numbers where Pillow sums integers, so an 8-bit value may differ by 1, and later
colour changes may change this difference. Colour changes alone are bit-identical to Pillow's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing

import torch
from torch import Tensor

from latte.data.augmentation import (
    Augmentation,
    ColourChange,
    pillow_resizes_tall_crops_first,
    rounded_amount,
)
from latte.data.cache import ImageCache
from latte.data.prefetch import BATCHES_AHEAD, ordered_map
from latte.data.views import TrainingView, normalise
from latte.interfaces import LatteError, Progress
from latte.interfaces.settings import TrainSettings

_SUPPORTED = ("cpu", "cuda")
_MEMORY_SHARE = 0.25
"""Largest share of a GPU's total memory for images. The free memory would differ between runs."""
_CHUNK = 64
"""Number of crops that are padded to one size and resized together."""


def make_device_views(
    view: TrainingView,
    images: ImageCache,
    device: str,
    settings: TrainSettings,
    progress: Progress,
) -> DeviceViews | None:
    """Return views that are made on `device`, or None if the CPU makes them.

    The device makes them if the settings ask for it and the images fit into its memory.

    Raises:
        LatteError: if the settings require views on the device, and it has too little memory or
            lacks 64-bit numbers.
    """
    place = torch.device(device)
    wanted = settings.augment_on == "device" or (
        settings.augment_on == "auto" and place.type == "cuda"
    )
    if settings.augment is None or not settings.takes_steps or not wanted:
        return None
    if place.type not in _SUPPORTED:
        raise LatteError(
            f"views cannot be made on {device}, which lacks numbers of 64 bits",
            where="train.augment_on",
            hint="write `augment_on: cpu`, or `auto`",
        )
    resident = resident_images(images, place, _budget(place), progress)
    if resident is not None:
        progress.say(f"train: {len(resident)} images stay on {device}, where their views are made")
        return DeviceViews(view, resident)
    if settings.augment_on == "device":
        raise LatteError(
            f"the images take more than {_MEMORY_SHARE:.0%} of the memory of {device}",
            where="train.augment_on",
            hint="write `augment_on: cpu`, or `auto`",
        )
    progress.say(f"train: images take too much of the memory of {device}; the CPU makes the views")
    return None


def resident_images(
    images: ImageCache, device: torch.device, budget: int | None, progress: Progress
) -> list[Tensor] | None:
    """Copy all images to `device` as (H, W, 3) uint8.

    Returns None if they take more than `budget` bytes or do not fit into the free memory.
    """
    resident: list[Tensor] = []
    left = budget
    with progress.task("images to the device", len(images), "images") as task:
        for index in range(len(images)):
            pixels = images.pixels(index)
            if left is not None:
                left -= pixels.nbytes
                if left < 0:
                    return None
            try:
                resident.append(torch.tensor(pixels, device=device))
            except torch.OutOfMemoryError:
                return None
            task.advance()
    return resident


def _budget(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    return int(_MEMORY_SHARE * torch.cuda.get_device_properties(device).total_memory)


class DeviceViews:
    """Random views of N images that stay on one device."""

    def __init__(self, view: TrainingView, images: Sequence[Tensor]) -> None:
        """Use augmentations of `view` for `images`, each (H, W, 3) uint8 on the device."""
        self._view = view
        self._images = images

    def batches(
        self, batches: Sequence[Tensor], epoch: int
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Yield `batches` in order: indices (B,) and views (B, 3, S, S) on the device."""

        def sample(indices: Tensor) -> tuple[Tensor, list[Augmentation]]:
            return indices, self._augmentations(indices, epoch)

        with closing(ordered_map(sample, batches, threads=1, ahead=BATCHES_AHEAD)) as sampled:
            for indices, augmentations in sampled:
                yield indices, self._views(indices, augmentations)

    def _augmentations(self, indices: Tensor, epoch: int) -> list[Augmentation]:
        sizes = [(index, self._images[index].shape) for index in indices.tolist()]
        return [self._view.augmentation(size[1], size[0], index, epoch) for index, size in sizes]

    def _views(self, indices: Tensor, augmentations: Sequence[Augmentation]) -> Tensor:
        """Make normalised views (B, 3, S, S) float32."""
        pixel_format = self._view.pixel_format
        size = pixel_format.size
        parts = [torch.empty(0, 3, size, size, device=self._images[0].device)]
        for first in range(0, len(augmentations), _CHUNK):
            chunk = augmentations[first : first + _CHUNK]
            rows = indices[first : first + _CHUNK].tolist()
            views = resized_crops([self._images[row] for row in rows], chunk, size)
            change_colours(views, chunk)
            parts.append(normalise(views, pixel_format))
        return torch.cat(parts)


def resized_crops(
    images: Sequence[Tensor], augmentations: Sequence[Augmentation], size: int
) -> Tensor:
    """Crop and resize B images: (B, 3, size, size), whole numbers from 0 to 255.

    Resizing is bicubic with antialiasing, as in Pillow: along rows, then along columns, rounded
    after each step. Tall crops are resized in the other order if Pillow does so. The order changes
    results, because bicubic values overshoot and are clipped between the two steps.
    """
    views = torch.empty(len(augmentations), 3, size, size, device=images[0].device)
    for columns_first in (False, True):
        rows = [
            row
            for row, one in enumerate(augmentations)
            if _resizes_columns_first(one, size) == columns_first
        ]
        if rows:
            chosen = [images[row] for row in rows], [augmentations[row] for row in rows]
            views[torch.tensor(rows, device=views.device)] = _resized(*chosen, size, columns_first)
    return views


def _resizes_columns_first(augmentation: Augmentation, size: int) -> bool:
    _, _, width, height = augmentation.box
    is_tall = height > size and height - size > 2 * (width - size)
    return pillow_resizes_tall_crops_first() and is_tall


def _resized(
    images: Sequence[Tensor],
    augmentations: Sequence[Augmentation],
    size: int,
    columns_first: bool,
) -> Tensor:
    widths, heights = ([one.box[side] for one in augmentations] for side in (2, 3))
    device = images[0].device
    crops = torch.zeros(len(augmentations), 3, max(heights), max(widths), device=device)
    for crop, image, augmentation in zip(crops, images, augmentations, strict=True):
        left, top, width, height = augmentation.box
        cut = image[top : top + height, left : left + width]
        crop[:, :height, :width] = cut.permute(2, 0, 1)
    across, down = (bicubic_weights(lengths, size, device) for lengths in (widths, heights))
    if columns_first:
        return _rounded(_rounded(down[:, None] @ crops) @ across[:, None].mT)
    return _rounded(down[:, None] @ _rounded(crops @ across[:, None].mT))


def bicubic_weights(lengths: Sequence[int], size: int, device: torch.device) -> Tensor:
    """Return weights (B, size, L) that resize B rows of pixels to `size` pixels.

    Rows have the given `lengths` and are padded to the longest, L. The weights are Pillow's: Keys'
    cubic with a = -0.5 (Keys 1981), widened for rows that shrink, and cut at the ends of a row.
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


def change_colours(views: Tensor, augmentations: Sequence[Augmentation]) -> None:
    """Apply the colour changes of each augmentation to views (B, 3, S, S) in place.

    Views are float32 with whole numbers from 0 to 255, rounded after each change as in Pillow.
    """
    for place in range(max((len(one.changes) for one in augmentations), default=0)):
        for kind, change in _CHANGES.items():
            rows = [
                row
                for row, one in enumerate(augmentations)
                if place < len(one.changes) and one.changes[place][0] is kind
            ]
            if rows:
                amounts = [rounded_amount(*augmentations[row].changes[place]) for row in rows]
                where = torch.tensor(rows, device=views.device)
                by = torch.tensor(amounts, device=views.device, dtype=torch.float32)
                views[where] = change(views[where], by.view(-1, 1, 1, 1))


def _brighten(views: Tensor, factor: Tensor) -> Tensor:
    return _blended(torch.zeros_like(views), views, factor)


def _contrast(views: Tensor, factor: Tensor) -> Tensor:
    mean = (_gray(views).double().mean(dim=(1, 2, 3), keepdim=True) + 0.5).floor().float()
    return _blended(mean.expand_as(views), views, factor)


def _saturate(views: Tensor, factor: Tensor) -> Tensor:
    return _blended(_gray(views), views, factor)


def _shift_hue(views: Tensor, steps: Tensor) -> Tensor:
    """Shift the hue by `steps`, in 256ths of a turn, through 8-bit HSV as Pillow does."""
    red, green, blue = views.unbind(dim=1)
    high, low = views.amax(dim=1), views.amin(dim=1)
    spread = high - low
    saturation = (spread / high.clamp_min(1) * 255).int()
    is_red, is_green = red == high, green == high
    start = torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0))
    plus = high - torch.where(is_red, blue, torch.where(is_green, red, green))
    minus = high - torch.where(is_red, green, torch.where(is_green, blue, red))
    width = spread.clamp_min(1)
    there = (start.double() + (plus / width).double() - (minus / width).double()).float()
    turned = there.double() * (1.0 / 6.0) + 1.0
    turn = torch.where(turned >= 1.0, turned - 1.0, turned).float()
    step = torch.where(spread > 0, (turn * 255).int(), 0)
    hue = (step + steps.view(-1, 1, 1).int()) & 255
    value = high.int()
    channels = [_from_hue(6 * hue + 255 * offset, saturation, value) for offset in (5, 3, 1)]
    return torch.stack(channels, dim=1).float()


def _from_hue(angle: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Return one channel of a colour; `angle` is in 1530ths of a turn, below 2 turns."""
    rest = torch.where(angle >= 1530, angle - 1530, angle)
    share = torch.minimum(rest, 1020 - rest).clamp(0, 255)
    doubled = 2 * value * (65025 - saturation * share) + 65025
    return torch.div(doubled, 130050, rounding_mode="floor")


def _to_gray(views: Tensor, unused: Tensor) -> Tensor:
    return _gray(views).expand_as(views)


def _blended(start: Tensor, end: Tensor, factor: Tensor) -> Tensor:
    return (start + factor * (end - start)).clamp_(0, 255).trunc_()


def _gray(views: Tensor) -> Tensor:
    """Convert (B, 3, S, S) to gray (B, 1, S, S) with Pillow's weights of the channels."""
    red, green, blue = views.int().unbind(dim=1)
    gray: Tensor = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    return gray[:, None].float()


_CHANGES: Mapping[ColourChange, Callable[[Tensor, Tensor], Tensor]] = {
    ColourChange.BRIGHTNESS: _brighten,
    ColourChange.CONTRAST: _contrast,
    ColourChange.SATURATION: _saturate,
    ColourChange.HUE: _shift_hue,
    ColourChange.GRAY: _to_gray,
}
