"""Interface of classifiers that plugins save in folders of their own, beside runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from latte.interfaces.encoder import PixelFormat


class ImageClassifier(ABC):
    """A classifier in a folder that a plugin wrote; `latte predict FOLDER` uses it as a run.

    A file `classifier.json` in the folder names what opens it: see `ClassifierSpec`. latte finds,
    decodes and resizes the images, and writes the rows.

    Attributes:
        class_names: Names of the C classes, in label order.
        pixel_format: Size and resizing of the pixels that `probabilities` gets; the classifier
            itself normalises them.

    Example:
        >>> import torch
        >>> from latte.api import ImageClassifier, PixelFormat
        >>> class Brightness(ImageClassifier):
        ...     class_names = ("dark", "bright")
        ...     pixel_format = PixelFormat(size=8, mean=(0, 0, 0), std=(1, 1, 1))
        ...
        ...     def probabilities(self, pixels: torch.Tensor) -> torch.Tensor:
        ...         bright = pixels.float().mean(dim=(1, 2, 3)) / 255
        ...         return torch.stack([1 - bright, bright], dim=1)
        >>> Brightness().probabilities(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
        tensor([[1., 0.]])
    """

    class_names: tuple[str, ...]
    pixel_format: PixelFormat

    @abstractmethod
    def probabilities(self, pixels: Tensor) -> Tensor:
        """Return the probabilities (B, C), fp32 on the CPU, of pixels (B, 3, S, S) uint8."""
