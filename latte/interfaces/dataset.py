"""Interfaces of datasets and augmentations, and data types for images and labelled images."""

from __future__ import annotations

import errno
import os
import stat
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, ClassVar

from latte.interfaces.component import Component, OptionsT

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

LARGEST_IMAGE = 2**30
"""Largest accepted image file, in bytes; the file of a 100-megapixel image is smaller."""


@dataclass(frozen=True, slots=True, init=False)
class ImageReference:
    """Path of one image, with an id that stays the same when the folder moves.

    Attributes:
        id: Path relative to the dataset's root, with `/` as separator; unique in the dataset.
        span: Start and length, in bytes, of an image that is a part of the file, such as a member
            of an uncompressed TAR; None if the image is the whole file.
        series: Name of the set of images that the image belongs to, such as a burst or a video;
            images of one series count once. None if the dataset does not know it.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import ImageReference
        >>> ImageReference("cats/1.jpg", Path("/photos/cats/1.jpg")).id
        'cats/1.jpg'
    """

    id: str
    _path: str
    """Path as a `str`, because a `Path` takes about 500 bytes and there may be a million images."""
    span: tuple[int, int] | None
    series: str | None

    def __init__(
        self,
        id: str,
        path: Path,
        span: tuple[int, int] | None = None,
        series: str | None = None,
    ) -> None:
        object.__setattr__(self, "id", id)
        object.__setattr__(self, "_path", str(path))
        object.__setattr__(self, "span", span)
        object.__setattr__(self, "series", series)

    @property
    def path(self) -> Path:
        """Path of the file that holds the image."""
        return Path(self._path)

    def read_bytes(self) -> bytes:
        """Return the encoded image.

        Raises `OSError` if the file cannot be read, is a pipe or a device, or has
        more than `LARGEST_IMAGE` bytes.
        """
        path = self._path
        # Opening a device can have side effects, so refuse devices before opening.
        _refuse_special(self.path.stat(), path)
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            _refuse_special(status, path)
            start, length = self.span or (0, status.st_size)
            if length > LARGEST_IMAGE:
                raise OSError(errno.EFBIG, f"it has more than {LARGEST_IMAGE:,} bytes", path)
            file.seek(start)
            return file.read(length)


def _refuse_special(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device", path)


def _open_without_waiting(path: str, flags: int) -> int:
    # If a pipe replaces the file after the check, opening it must not block.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """Image of the evaluation split with its true class index; training images have no label.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import ImageReference, LabelledImage
        >>> LabelledImage(ImageReference("1.jpg", Path("/test/1.jpg")), label=0).label
        0
    """

    image: ImageReference
    label: int


class Dataset(Component[OptionsT]):
    """Images, class names and a text template. Only the evaluation split has labels.

    Example:
        >>> from latte.api import Dataset, ImageReference, NoOptions
        >>> class Photos(Dataset[NoOptions]):
        ...     class_names = ("cat", "dog")
        ...     template = "a photo of a {class}."
        ...
        ...     def training_images(self) -> list[ImageReference]:
        ...         paths = sorted(self.context.path("photos").glob("*.png"))
        ...         return [ImageReference(path.name, path) for path in paths]
    """

    lists_quickly: ClassVar[bool] = False
    """True if opening the dataset and listing its images reads only folders and small files. Then
    `latte check` lists the images, and `latte run` opens the dataset before it loads the model."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Names of the C classes, distinct and in label order."""

    @property
    @abstractmethod
    def template(self) -> str:
        """Text about a class with `{class}` for its name, such as `a photo of a {class}.`"""

    @property
    def templates(self) -> Sequence[str]:
        """All templates, `template` first; the text features of a class are averaged over them."""
        return (self.template,)

    @property
    def class_aliases(self) -> Sequence[Sequence[str]]:
        """All names of each class; the first is the name in `class_names`."""
        return [(name,) for name in self.class_names]

    @property
    def class_sentences(self) -> Sequence[Mapping[str, float]]:
        """Weights of the sentences of each class, in place of the templates; empty if none.

        The text feature of a class is the weighted mean over its sentences.
        """
        return ()

    @abstractmethod
    def training_images(self) -> Sequence[ImageReference]:
        """Return the N images to adapt to, sorted by id."""

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Return labelled images for measuring accuracy; empty if there are none.

        Training never reads their labels. Images that are not training images are better, because
        accuracy on training images says less about new images.
        """
        return ()

    def audit_labels(self) -> Mapping[str, int]:
        """Return the known true labels (class indices) of training images, by image id.

        Reports show these labels. Only recipes with `oracle: true` use them for training.
        """
        return {}

    def warnings(self) -> Sequence[str]:
        """Return warnings, one sentence each, for example about files that were not read."""
        return ()

    def check_sending(self, address: str) -> None:
        """Raise `LatteError` if the training images must not be sent to the machine `address`.

        latte calls this method before a component with `Options.sends_to` gets an image.
        """


class ImageAugmentation(Component[OptionsT]):
    """Makes random views (augmented copies) of training images.

    Example:
        >>> from random import Random
        >>> import numpy
        >>> import torch
        >>> from PIL import Image, ImageOps
        >>> from torch import Tensor
        >>> from latte.api import ImageAugmentation, NoOptions
        >>> class Flips(ImageAugmentation[NoOptions]):
        ...     def view(self, image: Image.Image, size: int, random: Random) -> Tensor:
        ...         whole = image.resize((size, size))
        ...         chosen = ImageOps.mirror(whole) if random.random() < 0.5 else whole
        ...         return torch.from_numpy(numpy.array(chosen)).permute(2, 0, 1)
    """

    @abstractmethod
    def view(self, image: Image.Image, size: int, random: Random) -> Tensor:
        """Return one random view of `image` (RGB) as a uint8 tensor (3, size, size).

        Draw random numbers from `random` only, which is seeded by recipe seed, epoch and image. So
        resumed runs have the same views. Several threads call this method.
        """
