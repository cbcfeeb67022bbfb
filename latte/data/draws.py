"""What is random about a training view, drawn before a pixel is touched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from random import Random
from typing import Any

from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from latte.interfaces.settings import AugmentSettings

CROP_RATIO = (3 / 4, 4 / 3)
"""Width by height of random crops, as in torchvision's `RandomResizedCrop`."""

Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels."""


class Change(IntEnum):
    """How colours change; the numbers are those of views.c."""

    BRIGHTNESS = 0
    CONTRAST = 1
    SATURATION = 2
    HUE = 3
    GRAY = 4


@dataclass(frozen=True)
class Draw:
    """One view: where it is cut out, and how its colours change, in this order."""

    box: Box
    changes: tuple[tuple[Change, float], ...]
    """A factor each (0: nothing is left of it, 1: as it was); hue in turns; nothing for gray."""


def amount_of(change: Change, amount: float) -> float:
    """What `amount` comes to: torchvision turns hues in steps of 1/255, rounded towards zero."""
    return int(amount * 255) % 256 if change is Change.HUE else amount


def draw_view(width: int, height: int, augment: AugmentSettings, random: Random) -> Draw:
    """Draw a view of an image of `width` x `height` pixels."""
    box = crop_box(width, height, augment.crop_scale, random)
    changes: list[tuple[Change, float]] = []
    if random.random() < augment.jitter_probability:
        changes = _jitter(augment.jitter, random)
    if random.random() < augment.grayscale_probability:
        changes.append((Change.GRAY, 0.0))
    return Draw(box, tuple(changes))


def crop_box(width: int, height: int, scale: tuple[float, float], random: Random) -> Box:
    """Left, top, width and height of a random crop, drawn as `RandomResizedCrop` draws it.

    Area uniform in `scale`, aspect log-uniform in `CROP_RATIO`; after ten crops that do not fit,
    the largest central one whose aspect is allowed.
    """
    low, high = map(math.log, CROP_RATIO)
    for _ in range(10):
        area = width * height * random.uniform(*scale)
        aspect = math.exp(random.uniform(low, high))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    w = min(width, max(1, round(height * CROP_RATIO[1])))
    h = min(height, max(1, round(width / CROP_RATIO[0])))
    return (width - w) // 2, (height - h) // 2, w, h


def _jitter(
    jitter: tuple[float, float, float, float], random: Random
) -> list[tuple[Change, float]]:
    brightness, contrast, saturation, hue = jitter
    amounts = [
        _factor(brightness, random),
        _factor(contrast, random),
        _factor(saturation, random),
        random.uniform(-hue, hue),
    ]
    order = random.sample(range(4), 4)
    return [(Change(i), amounts[i]) for i in order if jitter[i] > 0]


def _factor(strength: float, random: Random) -> float:
    return random.uniform(max(0.0, 1 - strength), 1 + strength)


# Pillow makes the views that every other way repeats to the bit.

vision: Any = functional  # annotated for tensors alone, though made for PIL images too

_ADJUST = {
    Change.BRIGHTNESS: vision.adjust_brightness,
    Change.CONTRAST: vision.adjust_contrast,
    Change.SATURATION: vision.adjust_saturation,
    Change.HUE: vision.adjust_hue,
}


def drawn_pixels(image: Image.Image, draw: Draw, size: int) -> Tensor:
    """What `draw` shows of `image` (RGB), by Pillow: (3, S, S) uint8."""
    left, top, width, height = draw.box
    box = (left, top, left + width, top + height)
    view = image.crop(box).resize((size, size), Image.Resampling.BICUBIC)
    for change, amount in draw.changes:
        if change is Change.GRAY:
            view = vision.rgb_to_grayscale(view, num_output_channels=3)
        else:
            view = _ADJUST[change](view, amount)
    pixels: Tensor = vision.pil_to_tensor(view)
    return pixels
