"""Colour changes of a batch of views on a device, bit-identical to Pillow's.

A change of brightness, contrast or saturation is a blend of a view with another image. The views
are sorted by the number of blends before their hue shift, so each blend and each hue shift changes
one slice of the batch. The number of operations does not depend on the number of views or on the
order of their changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy
import torch
from torch import Tensor

from latte.data.augmentation import Augmentation, ColourChange, rounded_amount

_BLENDS = (ColourChange.BRIGHTNESS, ColourChange.CONTRAST, ColourChange.SATURATION)
_GRAY = (19595 / 65536, 38470 / 65536, 7471 / 65536)
"""Pillow's weights of red, green and blue; fp32 holds weighted sums of 8-bit values exactly."""
_COLOURS = 1 << 24
_CHUNK = 1 << 20


def plan_changes(augmentations: Sequence[Augmentation]) -> dict[str, Tensor]:
    """Return the colour changes of B views as tensors by name, on the CPU.

    A view has up to three blends (changes of brightness, contrast or saturation) and at most one
    hue shift, in any order. A conversion to gray may follow. `order` (B,) sorts the views, and
    `back` (B,) restores their order. `steps K` (M, 1) are the hue shifts of the M views that have
    K blends before the shift. `factor K` (M, 1, 1), `weights K` (M, 1, 3) and `contrast K`
    (M, 1, 1) describe blend K (from 0) of the first M sorted views. `gray` (M,) are the indices of
    the M sorted views that become gray.
    """
    sorts = [_sort_key(one) for one in augmentations]
    order = sorted(range(len(augmentations)), key=sorts.__getitem__)
    changes = [augmentations[row].changes for row in order]
    gray = [row for row, one in enumerate(changes) if one and one[-1][0] is ColourChange.GRAY]
    tensors = {
        "order": torch.tensor(order, dtype=torch.int64),
        "half": torch.full((1, 1, 1), 0.5),
        "places": torch.tensor([65536.0, 256.0, 1.0]).view(1, 1, 3),
        "gray": torch.tensor(gray, dtype=torch.int64),
        "gray weights": torch.tensor(_GRAY).view(1, 1, 3),
    }
    tensors["back"] = tensors["order"].argsort()
    for number in range(len(_BLENDS) + 1):
        rows = [row for row in order if sorts[row][0] == number]
        tensors[f"steps {number}"] = _hue_steps([augmentations[row] for row in rows])
    blends = [[one for one in each if one[0] in _BLENDS] for each in changes]
    for number in range(len(_BLENDS)):
        own = {row: one[number] for row, one in enumerate(blends) if number < len(one)}
        tensors |= {f"{name} {number}": value for name, value in _blend_tensors(own).items()}
    return tensors


def change_colours(views: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return views (B, 3, S, S) after the colour changes `tensors`, made by `plan_changes`.

    Views and `tensors` are on the same device. Views are float32 with whole numbers from 0 to 255,
    rounded after each change as in Pillow.
    """
    pixels, first = views.flatten(2).index_select(0, tensors["order"]), 0
    for number in range(len(_BLENDS) + 1):
        steps = tensors[f"steps {number}"]
        _shift_hue(pixels[first : first + len(steps)], steps, tensors["places"])
        first += len(steps)
        if number < len(_BLENDS):
            _blend(pixels[: len(tensors[f"factor {number}"])], tensors, number)
    if len(rows := tensors["gray"]):
        chosen = pixels.index_select(0, rows)
        gray = _gray(chosen, tensors["gray weights"].expand(len(rows), 1, 3), tensors["half"])
        pixels.index_copy_(0, rows, gray.expand_as(chosen))
    return pixels.index_select(0, tensors["back"]).view(views.shape)


def _sort_key(augmentation: Augmentation) -> tuple[int, int]:
    """Return a view's sort key (b, -n): b of its n blends come before its hue shift.

    Views without a hue shift come last.
    """
    kinds = [kind for kind, _ in augmentation.changes]
    assert len({*kinds}) == len(kinds), "each change occurs at most once"
    assert ColourChange.GRAY not in kinds[:-1], "nothing follows gray"
    before = kinds.index(ColourChange.HUE) if ColourChange.HUE in kinds else len(_BLENDS) + 1
    return before, -sum(kind in _BLENDS for kind in kinds)


def _hue_steps(augmentations: Sequence[Augmentation]) -> Tensor:
    """Return hue shifts (M, 1) to add to 24-bit HSV colours, whose upper 8 bits are the hue.

    The sum of colour and shift is an index into a table of all colours. A full turn is subtracted,
    because an index may be negative, but must not be beyond the table's end.
    """
    shifts = [dict(one.changes)[ColourChange.HUE] for one in augmentations]
    steps = [int(rounded_amount(ColourChange.HUE, one)) - 256 for one in shifts]
    return torch.tensor(steps, dtype=torch.int32).view(-1, 1) << 16


def _blend_tensors(blends: Mapping[int, tuple[ColourChange, float]]) -> dict[str, Tensor]:
    """Return the tensors of one blend; keys of `blends` are indices of views.

    The tensors end with the last view in `blends`; views that are not in `blends` get factor 1,
    which changes nothing. A change of brightness blends a view with black, contrast with the view's
    mean gray, and saturation with the gray view.
    """
    count = max(blends, default=-1) + 1
    factor = numpy.ones((count, 1, 1), numpy.float32)
    weights = numpy.zeros((count, 1, 3), numpy.float32)
    contrast = numpy.zeros((count, 1, 1), numpy.bool_)
    for row, (kind, amount) in blends.items():
        factor[row] = amount
        contrast[row] = kind is ColourChange.CONTRAST
        if kind is not ColourChange.BRIGHTNESS:
            weights[row] = _GRAY
    found = {"factor": factor, "weights": weights, "contrast": contrast}
    return {name: torch.from_numpy(value) for name, value in found.items()}


def _gray(pixels: Tensor, weights: Tensor, half: Tensor) -> Tensor:
    """Convert pixels (B, 3, P) to gray (B, 1, P); weights of zero give black."""
    return torch.baddbmm(half, weights, pixels).floor_()


def _blend(pixels: Tensor, tensors: Mapping[str, Tensor], number: int) -> None:
    if not len(pixels):
        return
    gray = _gray(pixels, tensors[f"weights {number}"], tensors["half"])
    start = torch.where(tensors[f"contrast {number}"], _mean(gray), gray)
    blended = (pixels - start).mul_(tensors[f"factor {number}"]).add_(start).clamp_(0, 255)
    torch.trunc(blended, out=pixels)


def _mean(gray: Tensor) -> Tensor:
    """Return the rounded mean (M, 1, 1) of whole numbers (M, 1, P) from 0 to 255."""
    count = gray.shape[2]
    # Sums in fp32 are exact up to 2^24; sums in int64 first copy all values to 8 bytes each.
    exact = torch.float32 if 255 * count + count // 2 < 1 << 24 else torch.int64
    total = gray.sum(dim=2, keepdim=True, dtype=exact)
    return total.add_(count // 2).div_(count, rounding_mode="floor")


def _shift_hue(pixels: Tensor, steps: Tensor, places: Tensor) -> None:
    """Shift the hue of pixels (M, 3, P) in place, through 8-bit HSV as Pillow does.

    On a GPU two tables of all colours replace about a hundred operations.
    """
    if not len(pixels):
        return
    if pixels.device.type == "cpu":
        shifted = _from_hsv((_to_hsv(*pixels.unbind(1)) + steps) & (_COLOURS - 1))
    else:
        to_hsv, from_hsv = _hue_tables(pixels.device)
        colours = torch.bmm(places.expand(len(pixels), 1, 3), pixels).int().squeeze(1)
        shifted = from_hsv[to_hsv[colours].add_(steps)]
    pixels.copy_(shifted.transpose(1, 2))


@lru_cache(maxsize=1)
def _hue_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return two tables of all 24-bit colours: RGB to HSV (2^24,), and HSV to RGB (2^24, 3)."""
    to_hsv, from_hsv = [], []
    for first in range(0, _COLOURS, _CHUNK):
        colours = torch.arange(first, first + _CHUNK, device=device, dtype=torch.int32)
        red, green, blue = colours >> 16, (colours >> 8) & 255, colours & 255
        to_hsv.append(_to_hsv(red.float(), green.float(), blue.float()))
        from_hsv.append(_from_hsv(colours).to(torch.uint8))
    return torch.cat(to_hsv), torch.cat(from_hsv)


def _to_hsv(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    """Return hue, saturation and value of colours, packed into 24 bits of int32."""
    high = torch.maximum(torch.maximum(red, green), blue)
    spread = high - torch.minimum(torch.minimum(red, green), blue)
    saturation = (spread / high.clamp_min(1) * 255).int()
    is_red, is_green = red == high, green == high
    start = torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0))
    plus = high - torch.where(is_red, blue, torch.where(is_green, red, green))
    minus = high - torch.where(is_red, green, torch.where(is_green, blue, red))
    width = spread.clamp_min(1)
    there = (start.double() + (plus / width).double() - (minus / width).double()).float()
    turned = there.double() * (1.0 / 6.0) + 1.0
    turn = torch.where(turned >= 1.0, turned - 1.0, turned).float()
    hue = torch.where(spread > 0, (turn * 255).int(), 0)
    return (hue << 16) | (saturation << 8) | high.int()


def _from_hsv(colours: Tensor) -> Tensor:
    """Return red, green and blue (..., 3) of HSV colours (...) that are packed into 24 bits."""
    hue, saturation, value = colours >> 16, (colours >> 8) & 255, colours & 255
    channels = [_channel(6 * hue + 255 * offset, saturation, value) for offset in (5, 3, 1)]
    return torch.stack(channels, dim=-1)


def _channel(angle: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Return one channel (red, green or blue) of HSV colours.

    `angle` is the hue plus the channel's offset, in 1530ths of a turn, below 2 turns.
    """
    rest = torch.where(angle >= 1530, angle - 1530, angle)
    share = torch.minimum(rest, 1020 - rest).clamp(0, 255)
    doubled = 2 * value * (65025 - saturation * share) + 65025
    return torch.div(doubled, 130050, rounding_mode="floor")
