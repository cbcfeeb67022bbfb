"""What the image tower sees of an image: the evaluation view, and random views for training.

Views work on 8-bit pixels; `normalise` turns a batch of them into the tower's input at once.
"""

from __future__ import annotations

import math
from functools import partial
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, functional

from latte.data.seeds import seed_from
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings

vision: Any = functional  # annotated for tensors alone, though made for PIL images too

CROP_RATIO = (3 / 4, 4 / 3)
"""Width by height of random crops, as in torchvision's `RandomResizedCrop`."""

_EXTREME_ASPECT = 16
"""Beyond it, resizing the short side first would make an image of gigabytes to crop from."""


def evaluation_view(image: Image.Image, pixel_format: PixelFormat) -> Tensor:
    """`image` (RGB) -> (3, S, S) float32, equal to open_clip's `image_transform(is_train=False)`.

    Only where open_clip would need an image of gigabytes or none at all (one side more than 16
    times the other, `shortest`; a side that rounds to 0 pixels, `longest`) is it done in one step.
    """
    return normalise(evaluation_pixels(image, pixel_format)[None], pixel_format)[0]


def evaluation_pixels(image: Image.Image, pixel_format: PixelFormat) -> Tensor:
    """The evaluation view before normalisation: (3, S, S) uint8."""
    size = pixel_format.size
    mode = InterpolationMode(pixel_format.interpolation)
    if pixel_format.resize_mode == "squash":
        resized = vision.resize(image, [size, size], mode)
    elif pixel_format.resize_mode == "longest":
        resized = _padded(image, size, mode)
    elif max(image.size) > _EXTREME_ASPECT * min(image.size):
        resized = _central_square(image, size, mode)
    else:
        resized = vision.center_crop(vision.resize(image, [size], mode), [size, size])
    pixels: Tensor = vision.pil_to_tensor(resized)
    return pixels


def normalise(pixels: Tensor, pixel_format: PixelFormat) -> Tensor:
    """Pixels (B, 3, S, S) uint8 -> float32 of the same shape, contiguous."""
    scaled = pixels.contiguous().to(torch.float32).div_(255)
    mean = torch.tensor(pixel_format.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(pixel_format.std, device=pixels.device).view(3, 1, 1)
    return scaled.sub_(mean).div_(std)


class TrainingView:
    """Random views of training images: crop, colour jitter, grayscale.

    Source: LatteCLIP's released training transform (open_clip's `simclr_jitter_gray` variant).
    Everything random is drawn from (seed, epoch, index) alone, so that a view does not depend on
    order, threads, batches or on having stopped and resumed.
    """

    def __init__(
        self, pixel_format: PixelFormat, augment: AugmentSettings | None, seed: int
    ) -> None:
        """Without `augment`, every view is the evaluation view."""
        self.pixel_format = pixel_format
        self.augment = augment
        self.seed = seed

    def __call__(self, image: Image.Image, index: int, epoch: int) -> Tensor:
        """`image` (RGB), training image `index` -> (3, S, S) float32."""
        return normalise(self.pixels(image, index, epoch)[None], self.pixel_format)[0]

    def pixels(self, image: Image.Image, index: int, epoch: int) -> Tensor:
        """The view before normalisation: (3, S, S) uint8."""
        if self.augment is None:
            return evaluation_pixels(image, self.pixel_format)
        random = Random(seed_from("view", self.seed, epoch, index))
        view = _random_crop(image, self.pixel_format.size, self.augment.crop_scale, random)
        if random.random() < self.augment.jitter_probability:
            view = _jittered(view, self.augment.jitter, random)
        if random.random() < self.augment.grayscale_probability:
            view = vision.rgb_to_grayscale(view, num_output_channels=3)
        pixels: Tensor = vision.pil_to_tensor(view)
        return pixels


def crop_box(
    width: int, height: int, scale: tuple[float, float], random: Random
) -> tuple[int, int, int, int]:
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


def _random_crop(
    image: Image.Image, size: int, scale: tuple[float, float], random: Random
) -> Image.Image:
    left, top, width, height = crop_box(*image.size, scale, random)
    box = (left, top, left + width, top + height)
    return image.crop(box).resize((size, size), Image.Resampling.BICUBIC)


def _jittered(
    image: Image.Image, jitter: tuple[float, float, float, float], random: Random
) -> Image.Image:
    brightness, contrast, saturation, hue = jitter
    changes = [
        partial(vision.adjust_brightness, brightness_factor=_factor(brightness, random)),
        partial(vision.adjust_contrast, contrast_factor=_factor(contrast, random)),
        partial(vision.adjust_saturation, saturation_factor=_factor(saturation, random)),
        partial(vision.adjust_hue, hue_factor=random.uniform(-hue, hue)),
    ]
    order = random.sample(range(4), 4)
    for change in (changes[i] for i in order if jitter[i] > 0):
        image = change(image)
    return image


def _factor(strength: float, random: Random) -> float:
    return random.uniform(max(0.0, 1 - strength), 1 + strength)


def _padded(image: Image.Image, size: int, mode: InterpolationMode) -> Image.Image:
    ratio = max(image.size) / size
    width, height = (max(1, round(side / ratio)) for side in image.size)
    resized = vision.resize(image, [height, width], mode)
    canvas = Image.new("RGB", (size, size))
    canvas.paste(resized, ((size - width) // 2, (size - height) // 2))
    return canvas


def _central_square(image: Image.Image, size: int, mode: InterpolationMode) -> Image.Image:
    width, height = image.size
    side = min(image.size)
    left, top = (width - side) / 2, (height - side) / 2
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    box = (left, top, left + side, top + side)
    return image.resize((size, size), filters[mode.value], box=box)
