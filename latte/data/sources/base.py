"""Base class of the built-in datasets, and the order of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from latte.data.source_options import SourceOptions
from latte.interfaces import Context, Dataset, ImageReference

SourceOptionsT = TypeVar("SourceOptionsT", bound=SourceOptions)


class ImageSource(Dataset[SourceOptionsT]):
    """A dataset whose class names are known as soon as it is built."""

    def __init__(
        self,
        options: SourceOptionsT,
        context: Context,
        class_names: tuple[str, ...],
        class_aliases: Sequence[Sequence[str]] = (),
    ) -> None:
        """`class_aliases` are all names of each class; by default each has one."""
        super().__init__(options, context)
        self._class_names = class_names
        self._class_aliases = class_aliases or [(name,) for name in class_names]

    @property
    def class_names(self) -> tuple[str, ...]:
        """C distinct names, in label order."""
        return self._class_names

    @property
    def template(self) -> str:
        """The first template, a sentence with `{class}` for a class name."""
        return self.templates[0]

    @property
    def templates(self) -> tuple[str, ...]:
        """All templates; the features of a class are the mean over them."""
        return self.options.templates

    @property
    def class_aliases(self) -> Sequence[Sequence[str]]:
        """All names of each class, the one in `class_names` first."""
        return self._class_aliases


def by_id(images: Sequence[ImageReference]) -> tuple[ImageReference, ...]:
    """Sort images by id, an order that depends on neither the source nor the labels."""
    return tuple(sorted(images, key=lambda image: image.id))
