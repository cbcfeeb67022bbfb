"""Changes of colours of many views at once, as tensor operations on the device where they are.

Views are float32 of whole numbers from 0 to 255, rounded after each change as Pillow rounds; see
views.c, which does the same for one view.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing

import torch
from torch import Tensor

from latte.data.cache import ImageCache
from latte.data.draws import Change, Draw, amount_of
from latte.data.kernel import resizes_tall_first
from latte.data.prefetch import ordered_map
from latte.data.views import TrainingView, normalise
from latte.interfaces import LatteError, Progress
from latte.interfaces.settings import TrainSettings


def change_colours(views: Tensor, draws: Sequence[Draw]) -> None:
    """Change views (B, 3, S, S) in place as each one's draw says, in its order."""
    for place in range(max((len(draw.changes) for draw in draws), default=0)):
        for kind, change in _CHANGES.items():
            rows = [
                row
                for row, draw in enumerate(draws)
                if place < len(draw.changes) and draw.changes[place][0] is kind
            ]
            if rows:
                amounts = [amount_of(*draws[row].changes[place]) for row in rows]
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
    """Hue turned by 256ths, through 8-bit hue, saturation and value, rounded as in views.c."""
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
    """One channel of a colour; `angle` in 1530ths of a turn, below 2 turns."""
    rest = torch.where(angle >= 1530, angle - 1530, angle)
    share = torch.minimum(rest, 1020 - rest).clamp(0, 255)
    doubled = 2 * value * (65025 - saturation * share) + 65025
    return torch.div(doubled, 130050, rounding_mode="floor")


def _to_gray(views: Tensor, nothing: Tensor) -> Tensor:
    return _gray(views).expand_as(views)


def _blended(start: Tensor, end: Tensor, factor: Tensor) -> Tensor:
    return (start + factor * (end - start)).clamp_(0, 255).trunc_()


def _gray(views: Tensor) -> Tensor:
    """(B, 3, S, S) -> (B, 1, S, S), as Pillow weighs colours."""
    red, green, blue = views.int().unbind(dim=1)
    gray: Tensor = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    return gray[:, None].float()


_CHANGES: Mapping[Change, Callable[[Tensor, Tensor], Tensor]] = {
    Change.BRIGHTNESS: _brighten,
    Change.CONTRAST: _contrast,
    Change.SATURATION: _saturate,
    Change.HUE: _shift_hue,
    Change.GRAY: _to_gray,
}


# Training images that stay on the device, where their random views are made for a batch at once.
#
# The draws are those of every other way to make views, and so is what is done with them; but sums
# are taken in floating point where Pillow takes them in integers, so that now and then a value
# differs by one of 255, and by what a later change of colours makes of that.


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


# Training images on the device, where there is room for them.


_TYPES = ("cpu", "cuda")
SHARE = 0.25
"""Of a GPU's memory, whoever uses the rest: so that another run on it decides alike."""


def make_device_views(
    view: TrainingView,
    images: ImageCache,
    device: str,
    settings: TrainSettings,
    progress: Progress,
) -> DeviceViews | None:
    """Views on the device, where the settings want them and images fit; None: on the CPU.

    Raises:
        LatteError: where they must be on the device, and do not fit there or cannot be made there.
    """
    place = torch.device(device)
    wanted = settings.augment_on == "device" or (
        settings.augment_on == "auto" and place.type == "cuda"
    )
    if settings.augment is None or not settings.takes_steps or not wanted:
        return None
    if place.type not in _TYPES:
        raise LatteError(
            f"views cannot be made on {device}, which lacks numbers of 64 bits",
            where="train.augment_on",
            hint="write `augment_on: cpu`, or `auto`",
        )
    kept = resident_images(images, place, _budget(place), progress)
    if kept is not None:
        progress.say(f"train: {len(kept)} images stay on {device}, where their views are made")
        return DeviceViews(view, kept)
    if settings.augment_on == "device":
        raise LatteError(
            f"the images take more than {SHARE:.0%} of the memory of {device}",
            where="train.augment_on",
            hint="write `augment_on: cpu`, or `auto`",
        )
    progress.say(f"train: images take too much of the memory of {device}; the CPU makes the views")
    return None


def resident_images(
    images: ImageCache, device: torch.device, budget: int | None, progress: Progress
) -> list[Tensor] | None:
    """All images as (H, W, 3) uint8 on `device`, or None if they take more than `budget` bytes."""
    kept: list[Tensor] = []
    left = budget
    with progress.task("images to the device", len(images), "images") as task:
        for index in range(len(images)):
            pixels = images.pixels(index)
            if left is not None:
                left -= pixels.nbytes
                if left < 0:
                    return None
            # A copy, for the cache hands out what may only be read.
            try:
                kept.append(torch.tensor(pixels, device=device))
            except torch.OutOfMemoryError:
                return None
            task.advance()
    return kept


def _budget(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    return int(SHARE * torch.cuda.get_device_properties(device).total_memory)
