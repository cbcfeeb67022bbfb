"""Random augmentation of training views: sample its parameters, and apply them with Pillow.

Views made with Pillow are the reference for views made by compiled code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from random import Random
from typing import Any

import numpy
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from latte.interfaces import ImageAugmentation
from latte.interfaces.settings import AugmentSettings

CROP_RATIO = (3 / 4, 4 / 3)
"""Range of width / height of random crops, as in torchvision's `RandomResizedCrop`."""

Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels."""


class ColourChange(IntEnum):
    """Kinds of colour changes; views.c of latte-views uses the same numbers."""

    BRIGHTNESS = 0
    CONTRAST = 1
    SATURATION = 2
    HUE = 3
    GRAY = 4


@dataclass(frozen=True)
class Augmentation:
    """Sampled parameters of one view: a crop, then colour changes."""

    box: Box
    changes: tuple[tuple[ColourChange, float], ...]
    """Kind and amount of each change, in order. An amount is a factor (1 changes nothing). For hue,
    it is a fraction of a full turn, from -0.5 to 0.5; for gray, it is ignored."""


def sample_augmentation(
    width: int, height: int, settings: AugmentSettings, random: Random
) -> Augmentation:
    """Sample the augmentation of an image of `width` x `height` pixels."""
    box = sample_crop(width, height, settings.crop_scale, random)
    changes: list[tuple[ColourChange, float]] = []
    if random.random() < settings.jitter_probability:
        changes = _sample_jitter(settings.jitter, random)
    if random.random() < settings.grayscale_probability:
        changes.append((ColourChange.GRAY, 0.0))
    return Augmentation(box, tuple(changes))


def sample_crop(width: int, height: int, scale: tuple[float, float], random: Random) -> Box:
    """Sample a random crop as `RandomResizedCrop` does.

    The area is uniform in `scale` (fractions of the image's area), and the aspect ratio is
    log-uniform in `CROP_RATIO`. After ten crops that do not fit, return the largest central crop
    with an allowed aspect ratio.
    """
    low, high = map(math.log, CROP_RATIO)
    for _ in range(10):
        area = width * height * random.uniform(*scale)
        aspect = math.exp(random.uniform(low, high))
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            return (
                random.randint(0, width - crop_width),
                random.randint(0, height - crop_height),
                crop_width,
                crop_height,
            )
    crop_width = min(width, max(1, round(height * CROP_RATIO[1])))
    crop_height = min(height, max(1, round(width / CROP_RATIO[0])))
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


def _sample_jitter(
    jitter: tuple[float, float, float, float], random: Random
) -> list[tuple[ColourChange, float]]:
    *factors, hue = jitter
    amounts = [random.uniform(max(0.0, 1 - strength), 1 + strength) for strength in factors]
    amounts.append(random.uniform(-hue, hue))
    order = random.sample(range(4), 4)
    return [(ColourChange(i), amounts[i]) for i in order if jitter[i] > 0]


def rounded_amount(change: ColourChange, amount: float) -> float:
    """Convert a hue shift from turns to whole 256ths of a turn, as torchvision does.

    Amounts of other changes are returned unchanged.
    """
    return int(amount * 255) % 256 if change is ColourChange.HUE else amount


vision: Any = functional  # its annotations allow tensors only, though it takes PIL images too

_ADJUST = {
    ColourChange.BRIGHTNESS: vision.adjust_brightness,
    ColourChange.CONTRAST: vision.adjust_contrast,
    ColourChange.SATURATION: vision.adjust_saturation,
    ColourChange.HUE: vision.adjust_hue,
}


def augmented_pixels(image: Image.Image, augmentation: Augmentation, size: int) -> Tensor:
    """Apply `augmentation` to `image` (RGB) with Pillow, and return (3, size, size) uint8."""
    left, top, width, height = augmentation.box
    box = (left, top, left + width, top + height)
    view = image.crop(box).resize((size, size), Image.Resampling.BICUBIC)
    for change, amount in augmentation.changes:
        if change is ColourChange.GRAY:
            view = vision.rgb_to_grayscale(view, num_output_channels=3)
        else:
            view = _ADJUST[change](view, amount)
    pixels: Tensor = vision.pil_to_tensor(view)
    return pixels


class RandomCrops(ImageAugmentation[AugmentSettings]):
    """Random crops with colour jitter or in grey, as in LatteCLIP's released training transform."""

    def view(self, image: Image.Image, size: int, random: Random) -> Tensor:
        """Return one random view of `image` as a uint8 tensor (3, size, size)."""
        augmentation = sample_augmentation(image.width, image.height, self.options, random)
        return augmented_pixels(image, augmentation, size)


@cache
def pillow_resizes_tall_crops_first() -> bool:
    """Return True if the installed Pillow resizes the height of tall crops before their width.

    The order can change the last bit, because Pillow rounds between the two steps.
    """
    noise = numpy.random.default_rng(0).integers(0, 256, (90, 30, 3), dtype=numpy.uint8)
    image, bicubic = Image.fromarray(noise), Image.Resampling.BICUBIC
    rows_first = image.resize((16, 90), bicubic).resize((16, 16), bicubic)
    return image.resize((16, 16), bicubic).tobytes() != rows_first.tobytes()
