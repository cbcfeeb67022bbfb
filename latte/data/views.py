"""What the image tower sees of an image: the evaluation view, and random views for training.

Views work on 8-bit pixels; `normalise` turns a batch of them into the tower's input at once.
"""

from __future__ import annotations

from functools import cached_property
from random import Random

import numpy
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode

from latte.data.draws import Draw, draw_view, drawn_pixels, vision
from latte.data.kernel import ViewKernel, view_kernel
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from latte.toolkit.seeds import seed_from

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
