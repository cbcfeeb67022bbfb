"""Interface of components of kind `augmentation`, which make random views of training images."""

from __future__ import annotations

from abc import abstractmethod
from random import Random
from typing import TYPE_CHECKING

from latte.interfaces.component import Component, OptionsT

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


class ImageAugmentation(Component[OptionsT]):
    """Makes random views (augmented copies) of training images; replaces `train.augment`.

    Example:
        >>> import numpy, torch
        >>> from PIL import ImageOps
        >>> from latte.api import ImageAugmentation, NoOptions
        >>> class Flips(ImageAugmentation[NoOptions]):
        ...     def view(self, image, size, random):
        ...         whole = image.resize((size, size))
        ...         chosen = ImageOps.mirror(whole) if random.random() < 0.5 else whole
        ...         return torch.from_numpy(numpy.array(chosen)).permute(2, 0, 1)
    """

    @abstractmethod
    def view(self, image: Image.Image, size: int, random: Random) -> Tensor:
        """Return one view of `image` (RGB): (3, size, size) uint8.

        Draw from `random` only: its seed depends on the seed of the recipe, the epoch and the
        image, so that resumed runs have the same views. Several threads call this method.
        """
