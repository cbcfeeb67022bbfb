"""Image references and the datasets that list them. Training images carry no label, by type."""

from __future__ import annotations

import errno
import stat
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from latte.interfaces.component import Component, OptionsT

LARGEST_IMAGE = 2**30
"""Bytes of a file; what decodes to a hundred million pixels has less."""


@dataclass(frozen=True, slots=True, init=False)
class ImageReference:
    """One image: where it is, and an id that stays the same when the folder moves."""

    id: str
    """Stable and unique in its dataset: the path relative to the dataset's root, with `/`."""
    _path: str
    """A `Path` takes some 500 bytes, and there may be a million of them."""
    span: tuple[int, int] | None
    """Start and length in bytes of an image that is a part of the file, such as a member of an
    uncompressed TAR; None: the whole file."""

    def __init__(self, id: str, path: Path, span: tuple[int, int] | None = None) -> None:
        object.__setattr__(self, "id", id)
        object.__setattr__(self, "_path", str(path))
        object.__setattr__(self, "span", span)

    @property
    def path(self) -> Path:
        """The image's file."""
        return Path(self._path)

    def read_bytes(self) -> bytes:
        """The encoded image. Raises `OSError`, also for what has no end, such as a pipe."""
        if self.span is None:
            _refuse_endless(self.path)
            return self.path.read_bytes()
        start, length = self.span
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(length)


def _refuse_endless(path: Path) -> None:
    status = path.stat()
    if stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device", str(path))
    if status.st_size > LARGEST_IMAGE:
        raise OSError(errno.EFBIG, f"it has more than {LARGEST_IMAGE:,} bytes", str(path))


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image of the evaluation split: the only type in latte that has a true label."""

    image: ImageReference
    label: int


class Dataset(Component[OptionsT]):
    """Images, class names and a template; labels exist in the evaluation split alone."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """C distinct names, in label order."""

    @property
    @abstractmethod
    def template(self) -> str:
        """The sentence that stands for a class, with `{class}` for its name."""

    @property
    def templates(self) -> Sequence[str]:
        """All sentences that stand for a class together, `template` first; here it alone."""
        return (self.template,)

    @property
    def class_aliases(self) -> Sequence[Sequence[str]]:
        """All names that each class goes by, the one in `class_names` first; here it alone."""
        return [(name,) for name in self.class_names]

    @abstractmethod
    def training_images(self) -> Sequence[ImageReference]:
        """The N images to adapt to; their order depends on neither labels nor the file system."""

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Labelled images that training never sees; empty when nobody labelled any."""
        return ()

    def audit_labels(self) -> Mapping[str, int]:
        """Labels of training images by id, where known.

        Reports show them. Beyond that only a recipe with `oracle: true` asks, to draw groups.
        """
        return {}
