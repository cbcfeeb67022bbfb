"""What is random about a training view, drawn before a pixel is touched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from random import Random
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, functional

from latte.data.kernel import ViewKernel, view_kernel
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from latte.toolkit.seeds import seed_from

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


# Training views by Pillow: what every other way to make them must repeat to the bit.


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


# What the image tower sees of an image: the evaluation view, and random views for training.
#
# Views work on 8-bit pixels; `normalise` turns a batch of them into the tower's input at once.


Pixels = NDArray[numpy.uint8]

_VIEWS_WITHOUT_KERNEL = 256

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
    """Pixels (B, 3, S, S) from 0 to 255 -> float32 of the same shape, contiguous."""
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
        self._written = 0

    def __call__(self, image: Image.Image, index: int, epoch: int) -> Tensor:
        """`image` (RGB), training image `index` -> (3, S, S) float32."""
        return normalise(self.pixels(image, index, epoch)[None], self.pixel_format)[0]

    def pixels(self, image: Image.Image, index: int, epoch: int) -> Tensor:
        """The view before normalisation: (3, S, S) uint8."""
        if self.augment is None:
            return evaluation_pixels(image, self.pixel_format)
        draw = self._draw(image.width, image.height, self.augment, index, epoch)
        return drawn_pixels(image, draw, self.pixel_format.size)

    def write(self, pixels: Pixels, index: int, epoch: int, out: Tensor) -> None:
        """The view of an image's `pixels` (H, W, 3) into `out` (3, S, S) float32, contiguous.

        The bits are those of calling this; on machines with a C compiler it is far faster.
        """
        if self.augment is not None and self._kernel is not None:
            height, width, _ = pixels.shape
            draw = self._draw(width, height, self.augment, index, epoch)
            if self._kernel.write(pixels, draw, self._scaled, out.numpy()):
                return
        out.copy_(self(Image.fromarray(pixels), index, epoch))

    def prepare(self) -> None:
        """Compile what makes views fast now, and not after some hundred of them."""
        self._written = _VIEWS_WITHOUT_KERNEL
        view_kernel()

    def draw(self, width: int, height: int, index: int, epoch: int) -> Draw:
        """What is shown of training image `index`; only with `augment`."""
        assert self.augment is not None, "the evaluation view is not drawn"
        return self._draw(width, height, self.augment, index, epoch)

    def _draw(
        self, width: int, height: int, augment: AugmentSettings, index: int, epoch: int
    ) -> Draw:
        random = Random(seed_from("view", self.seed, epoch, index))
        return draw_view(width, height, augment, random)

    @property
    def _kernel(self) -> ViewKernel | None:
        # Building it takes a second, which only some hundred views win back.
        self._written += 1
        return view_kernel() if self._written > _VIEWS_WITHOUT_KERNEL else None

    @cached_property
    def _scaled(self) -> NDArray[numpy.float32]:
        """What each 8-bit value of each channel becomes by normalising: (3, 256)."""
        values = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
        scaled: NDArray[numpy.float32] = normalise(values, self.pixel_format)[0, :, 0].numpy()
        return scaled


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
