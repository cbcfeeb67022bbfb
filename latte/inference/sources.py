"""Images in every form in which people have them, one after another and never all at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, Union

from PIL import Image

from latte.data.sources.walk import files_below, is_image_name
from latte.interfaces import LatteError

ImageSource: TypeAlias = Union[str, "os.PathLike[str]", Image.Image]
Images: TypeAlias = ImageSource | Iterable[Union[ImageSource, "Images"]]
"""A file, a folder, a Pillow image, or an iterable or generator of these."""


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image that has not been read yet."""

    name: str
    """The path as it was given, or the number of a Pillow image among all images, from 0."""
    content: Path | Image.Image


def named_images(
    images: Images, unlisted: Callable[[LatteError], None] | None = None
) -> Iterator[NamedImage]:
    """Every image of `images`, found while the iteration goes on.

    Below folders, files count by their suffix; a file that was named itself is taken whatever it is
    called. A path that leads nowhere comes too: reading it tells why. `unlisted` is told of
    sub-folders that cannot be listed; without it they raise `LatteError`, as does what is no image.
    """
    for number, content in enumerate(_contents(images, unlisted)):
        name = str(content) if isinstance(content, Path) else str(number)
        yield NamedImage(name, content)


def _contents(
    images: Images, unlisted: Callable[[LatteError], None] | None
) -> Iterator[Path | Image.Image]:
    if isinstance(images, Image.Image):
        yield images
    elif isinstance(images, str | os.PathLike):
        path = Path(images)
        if path.is_dir():
            yield from filter(is_image_name, files_below(path, unlisted))
        else:
            yield path
    elif isinstance(images, Iterable) and not isinstance(images, bytes) and not _is_array(images):
        for one in images:
            yield from _contents(one, unlisted)
    else:
        raise LatteError(
            f"{type(images).__name__} is no image",
            hint="give paths, folders, Pillow images, or an iterable of these; for an array of "
            "8-bit RGB values: PIL.Image.fromarray(array)",
        )


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__")
