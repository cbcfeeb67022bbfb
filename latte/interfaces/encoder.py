"""Interface of models that turn images into features, and the pixels that these models take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Size and normalisation of the images that an encoder takes.

    Attributes:
        size: Side of the square input, in pixels.
        mean: Red, green and blue values to subtract from pixels, which are between 0 and 1.
        std: Red, green and blue values by which the differences are divided.
        interpolation: Filter for resizing images.
        resize_mode: Method to make an image square: crop the resized image (`shortest`), pad it
            with black (`longest`), or change the aspect ratio (`squash`).
        short_side: Length of the resized image's shorter side before it is cropped, at least
            `size`; only for `shortest`. None means `size`.

    Example:
        >>> from latte.api import PixelFormat
        >>> PixelFormat(size=224, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28)).interpolation
        'bicubic'
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize_mode: Literal["shortest", "longest", "squash"] = "shortest"
    short_side: int | None = None


class Encoder(ABC):
    """A model that turns images into features, such as DINOv2. Features are L2-normalised.

    A run may use encoders beside its CLIP: they are never trained, and know no texts. If the model
    is one torch module, use `ModuleEncoder`. A `Backbone` is an encoder that encodes texts, too.

    Attributes:
        pixel_format: Size and normalisation of the pixels that `encode_images` gets.
        embedding_width: Width D of the features.

    Example:
        >>> import torch
        >>> from latte_author.testing import StubEncoder  # a small Encoder for tests
        >>> StubEncoder().encode_images(torch.rand(2, 3, 12, 12)).shape
        torch.Size([2, 6])
    """

    pixel_format: PixelFormat
    embedding_width: int

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identifier of the loaded weights and of the code that computes features from them.

        latte stores features under this identifier, so equal fingerprints must mean equal features.
        A model that is saved and loaded again has an equal fingerprint.
        """

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Device of the weights."""

    @abstractmethod
    def encode_images(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, S, S), normalised by `pixel_format`, to unit features (B, D), fp32.

        Pixels may be on the CPU; features are on the model's device. The feature of an image must
        not depend on the other images of the batch.
        """

    def image_tower(self) -> nn.Module | None:
        """Return a module that maps pixels (B, 3, S, S) to features (B, D), for the ONNX export.

        The features are those of `encode_images` before normalisation. PyTorch must be able to
        trace the module for any B. The module of a copy (`Backbone.fork`) must use the weights of
        the copy. The default returns None: `latte export --format onnx` is then not possible.
        """
        return None

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return every weight and buffer by name, detached, without copying them."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model to `folder`; `load_saved` of its loader loads it with equal outputs."""
