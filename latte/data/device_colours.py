"""Colour changes of a batch of views on a device, bit-identical to Pillow's.

A fixed sequence of operations (slots) processes all images together: blends, hue shifts, and
conversion to gray. If an image has no change in a slot, its pixels stay as they are. So the number
of operations does not depend on the number of images or on the order of their changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from latte.data.augmentation import Augmentation, ColourChange, rounded_amount

_SLOTS = ("blend", "hue", "blend", "blend", "hue", "blend", "gray")
"""Slots that allow any order of three blends and a hue shift, then conversion to gray."""
_OF_CHANGE = {ColourChange.HUE: "hue", ColourChange.GRAY: "gray"}
_GRAY = (19595 / 65536, 38470 / 65536, 7471 / 65536)
"""Pillow's weights of red, green and blue; fp32 holds weighted sums of 8-bit values exactly."""
_COLOURS = 1 << 24
_CHUNK = 1 << 20


def plan_changes(augmentations: Sequence[Augmentation]) -> dict[str, Tensor]:
    """Return tensors with the colour changes of B views, on the CPU, named by slot.

    A slot is a position in the fixed sequence of operations. A slot without changes has no tensors.
    """
    used: dict[int, dict[int, tuple[ColourChange, float]]] = {}
    for row, one in enumerate(augmentations):
        slot = -1
        for change in one.changes:
            slot = _SLOTS.index(_OF_CHANGE.get(change[0], "blend"), slot + 1)
            used.setdefault(slot, {})[row] = change
    tensors = {
        "half": torch.full((1, 1, 1), 0.5),
        "places": torch.tensor([65536.0, 256.0, 1.0]).view(1, 1, 3),
    }
    for slot, changes in used.items():
        found = _slot_tensors(_SLOTS[slot], changes, len(augmentations))
        tensors |= {f"{name} {slot}": value for name, value in found.items()}
    return tensors


def change_colours(views: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return views (B, 3, S, S) with the changes of `plan_changes`, which are on the same device.

    Views are float32 with whole numbers from 0 to 255, rounded after each change as in Pillow.
    """
    pixels = views.flatten(2)
    for slot, kind in enumerate(_SLOTS):
        if f"chosen {slot}" not in tensors:
            continue
        chosen = tensors[f"chosen {slot}"]
        if kind == "hue":
            pixels = torch.where(chosen, _shifted_hue(pixels, tensors, slot), pixels)
        elif kind == "gray":
            pixels = torch.where(chosen, _gray(pixels, tensors, slot), pixels)
        else:
            gray = _gray(pixels, tensors, slot)
            pixels = _blended(pixels, gray, tensors[f"factor {slot}"], chosen)
    return pixels.view(views.shape)


def _slot_tensors(
    kind: str, changes: Mapping[int, tuple[ColourChange, float]], count: int
) -> dict[str, Tensor]:
    """Return the tensors with the changes of one slot, for B = `count` views.

    `steps` (B, 1) are hue shifts in 256ths of a turn, multiplied by 65,536. `chosen` (B, 1, 1) is
    True for views that change in this slot; in a blend slot, only for views whose contrast changes.
    `weights` (B, 1, 3) convert a view to the gray that it is blended with: black (all weights 0) to
    change brightness, the mean gray to change contrast, each pixel's gray to change saturation.
    """
    chosen = numpy.zeros((count, 1, 1), numpy.bool_)
    steps = numpy.zeros((count, 1), numpy.int32)
    factor = numpy.ones((count, 1, 1), numpy.float32)
    weights = numpy.zeros((count, 1, 3), numpy.float32)
    for row, (change, amount) in changes.items():
        chosen[row] = kind != "blend" or change is ColourChange.CONTRAST
        if change is ColourChange.HUE:
            steps[row] = int(rounded_amount(change, amount)) << 16
        elif change is not ColourChange.BRIGHTNESS:
            weights[row] = _GRAY
        factor[row] = amount
    names: dict[str, dict[str, NDArray[Any]]] = {
        "blend": {"chosen": chosen, "factor": factor, "weights": weights},
        "hue": {"chosen": chosen, "steps": steps},
        "gray": {"chosen": chosen, "weights": weights},
    }
    return {name: torch.from_numpy(value) for name, value in names[kind].items()}


def _gray(pixels: Tensor, tensors: Mapping[str, Tensor], slot: int) -> Tensor:
    """Convert pixels (B, 3, P) to gray (B, 1, P) with a slot's weights; zero weights give black."""
    return torch.baddbmm(tensors["half"], tensors[f"weights {slot}"], pixels).floor_()


def _blended(pixels: Tensor, gray: Tensor, factor: Tensor, contrast: Tensor) -> Tensor:
    count = pixels.shape[2]
    total = gray.sum(dim=2, keepdim=True, dtype=torch.int64)
    mean = total.add_(count // 2).div_(count, rounding_mode="floor")
    start = torch.where(contrast, mean, gray)
    return (pixels - start).mul_(factor).add_(start).clamp_(0, 255).trunc_()


def _shifted_hue(pixels: Tensor, tensors: Mapping[str, Tensor], slot: int) -> Tensor:
    """Shift the hue of pixels (B, 3, P) through 8-bit HSV as Pillow does.

    On a GPU two tables of all colours replace about a hundred operations.
    """
    steps = tensors[f"steps {slot}"]
    if pixels.device.type == "cpu":
        return _from_hsv((_to_hsv(*pixels.unbind(1)) + steps) & (_COLOURS - 1)).transpose(1, 2)
    to_hsv, from_hsv = _hue_tables(pixels.device)
    places = tensors["places"].expand(len(pixels), 1, 3)
    colours = torch.bmm(places, pixels).int().squeeze(1)
    shifted = to_hsv[colours].add_(steps).bitwise_and_(_COLOURS - 1)
    return from_hsv[shifted].transpose(1, 2)


@lru_cache(maxsize=1)
def _hue_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the HSV colour (24 bits) of each RGB colour (2^24,), and the inverse (2^24, 3)."""
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
    """Return red, green or blue of HSV colours.

    `angle` is the hue plus the channel's offset, in 1530ths of a turn, below 2 turns.
    """
    rest = torch.where(angle >= 1530, angle - 1530, angle)
    share = torch.minimum(rest, 1020 - rest).clamp(0, 255)
    doubled = 2 * value * (65025 - saturation * share) + 65025
    return torch.div(doubled, 130050, rounding_mode="floor")
