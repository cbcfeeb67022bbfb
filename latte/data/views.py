"""Views of an image for the image tower: one for evaluation, random views for training.

Views consist of 8-bit pixels; `normalise` converts a batch of views to the tower's input.
"""

from __future__ import annotations

from functools import cached_property
from random import Random
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode

from latte.data.augmentation import Augmentation, augmented_pixels, sample_augmentation, vision
from latte.data.compiled_views import UNCHANGED, CompiledViews, compiled_views
from latte.data.images import Pixels
from latte.interfaces import ImageAugmentation, PixelFormat
from latte.interfaces.provider import blaming
from latte.interfaces.returned import check_tensor
from latte.interfaces.settings import AugmentSettings
from latte.toolkit.seeds import seed_from

_EXTREME_ASPECT = 16
"""Long side / short side above which resizing the short side first would take gigabytes."""


def evaluation_pixels(image: Image.Image, pixel_format: PixelFormat) -> Tensor:
    """Return the evaluation view of `image` (RGB) before normalisation: (3, S, S) uint8.

    Without `short_side`, it equals the view of open_clip's `image_transform(is_train=False)`,
    except for images that open_clip cannot resize: in mode `shortest`, an image with one side more
    than 16 times the other is cropped and resized in one step; in mode `longest`, a side that would
    get 0 pixels gets 1.
    """
    size = pixel_format.size
    mode = InterpolationMode(pixel_format.interpolation)
    if pixel_format.resize_mode == "squash":
        view = vision.resize(image, [size, size], mode)
    elif pixel_format.resize_mode == "longest":
        view = _padded(image, size, mode)
    elif max(image.size) > _EXTREME_ASPECT * min(image.size):
        view = _central_square(image, size, mode)
    else:
        short_side = pixel_format.short_side or size
        view = vision.center_crop(vision.resize(image, [short_side], mode), [size, size])
    pixels: Tensor = vision.pil_to_tensor(view)
    return pixels


def normalise(pixels: Tensor, pixel_format: PixelFormat) -> Tensor:
    """Normalise pixels (B, 3, S, S) from 0 to 255 to contiguous float32 of the same shape."""
    scaled_pixels = pixels.contiguous().to(torch.float32).div_(255)
    moments = torch.tensor([pixel_format.mean, pixel_format.std]).view(2, 3, 1, 1)
    mean, std = moments.to(pixels.device, non_blocking=True)
    return scaled_pixels.sub_(mean).div_(std)


class TrainingView:
    """Random views of training images: random crops, colour jitter and grayscale.

    A component `augmentation` can make other views. Source: LatteCLIP's released training
    transform (open_clip's `simclr_jitter_gray` variant). A view depends on (seed, epoch, index)
    alone: it is the same in any batch, with any number of threads, and in a resumed run.
    """

    def __init__(
        self,
        pixel_format: PixelFormat,
        augment: AugmentSettings | ImageAugmentation[Any] | None,
        seed: int,
    ) -> None:
        """Make random views with `augment`, or evaluation views if `augment` is None."""
        self.pixel_format = pixel_format
        self.augment = augment
        self.seed = seed

    def __call__(self, image: Image.Image, index: int, epoch: int) -> Tensor:
        """Return the training view of `image` (RGB), training image `index`: (3, S, S) float32."""
        return normalise(self.pixels(image, index, epoch)[None], self.pixel_format)[0]

    def pixels(self, image: Image.Image, index: int, epoch: int) -> Tensor:
        """Return the training view of `image` before normalisation: (3, S, S) uint8."""
        if self.augment is None:
            return evaluation_pixels(image, self.pixel_format)
        if isinstance(self.augment, ImageAugmentation):
            return self._made_by(self.augment, image, self._random(index, epoch))
        augmentation = self.augmentation(image.width, image.height, index, epoch)
        return augmented_pixels(image, augmentation, self.pixel_format.size)

    def write(self, pixels: Pixels, index: int, epoch: int, out: Tensor) -> None:
        """Write the view of `pixels` (H, W, 3) to `out` (3, S, S), which is contiguous.

        A float32 `out` gets the values that `__call__` returns, bit for bit; a uint8 `out` gets the
        view before normalisation.
        """
        is_8_bit = out.dtype == torch.uint8
        if isinstance(self.augment, AugmentSettings) and self._compiled is not None:
            height, width, _ = pixels.shape
            augmentation = self.augmentation(width, height, index, epoch)
            view = torch.empty(out.shape) if is_8_bit else out
            values = UNCHANGED if is_8_bit else self._normalised_values
            if self._compiled.write(pixels, augmentation, values, view.numpy()):
                if is_8_bit:
                    out.copy_(view)
                return
        make = self.pixels if is_8_bit else self
        out.copy_(make(Image.fromarray(pixels), index, epoch))

    def augmentation(self, width: int, height: int, index: int, epoch: int) -> Augmentation:
        """Sample the parameters of the built-in augmentation for training image `index`."""
        assert isinstance(self.augment, AugmentSettings), "only settings describe a crop"
        return sample_augmentation(width, height, self.augment, self._random(index, epoch))

    def _random(self, index: int, epoch: int) -> Random:
        return Random(seed_from("view", self.seed, epoch, index))

    def _made_by(
        self, augment: ImageAugmentation[Any], image: Image.Image, random: Random
    ) -> Tensor:
        size = self.pixel_format.size
        pixels = augment.view(image, size, random)
        with blaming(augment, "its view"):
            cpu = torch.device("cpu")
            check_tensor("pixels", pixels, (3, size, size), torch.uint8, cpu)
        return pixels

    @cached_property
    def _compiled(self) -> CompiledViews | None:
        return compiled_views()

    @cached_property
    def _normalised_values(self) -> NDArray[numpy.float32]:
        """Table (3, 256) of the normalised value for each channel and 8-bit value."""
        values = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
        normalised_values: NDArray[numpy.float32] = normalise(values, self.pixel_format)[
            0, :, 0
        ].numpy()
        return normalised_values


def _padded(image: Image.Image, size: int, mode: InterpolationMode) -> Image.Image:
    ratio = max(image.size) / size
    width, height = (max(1, round(side / ratio)) for side in image.size)
    view = vision.resize(image, [height, width], mode)
    canvas = Image.new("RGB", (size, size))
    canvas.paste(view, ((size - width) // 2, (size - height) // 2))
    return canvas


def _central_square(image: Image.Image, size: int, mode: InterpolationMode) -> Image.Image:
    width, height = image.size
    side = min(image.size)
    left, top = (width - side) / 2, (height - side) / 2
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    box = (left, top, left + side, top + side)
    return image.resize((size, size), filters[mode.value], box=box)
