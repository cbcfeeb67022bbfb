"""Read any number of images for a prediction: find them, and make their views in batches."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias, Union

from PIL import Image
from torch import Tensor

from latte.data.images import (
    SkippedImage,
    UnreadableImageError,
    decode_image,
    read_image,
    upright_rgb,
)
from latte.data.prefetch import BATCHES_AHEAD, image_threads, ordered_map
from latte.data.sources.walk import LeftOut, iterate_images
from latte.data.views import evaluation_pixels
from latte.interfaces import ImageReference, LatteError, PixelFormat
from latte.io.files import digest
from latte.io.paths import is_folder, path_as_text
from latte.predict.stored_features import StoredFeatures

Unreadable = Callable[[SkippedImage], None]

GivenImage: TypeAlias = Union[str, "os.PathLike[str]", Image.Image]
GivenImages: TypeAlias = GivenImage | Iterable[Union[GivenImage, "GivenImages"]]
"""A file, a folder, a Pillow image, or an iterable, array, column or generator of these."""


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image that has not been read yet."""

    name: str
    """The given path as text (see `path_as_text`); for a Pillow image, the position, from 0."""
    content: Path | Image.Image


def named_images(
    images: GivenImages,
    unlisted: Callable[[LatteError], None] | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[NamedImage]:
    """Yield every image of `images`; folders are searched during the iteration.

    The path of a single file is always yielded. Of the files in a folder, only those with an image
    suffix are yielded; the others are added to `left_out`. If a folder cannot be listed, `unlisted`
    is called with a `LatteError`; without `unlisted`, the error is raised.
    """
    for number, content in enumerate(_contents(images, unlisted, left_out)):
        name = path_as_text(str(content)) if isinstance(content, Path) else str(number)
        yield NamedImage(name, content)


def unlisted(on_unreadable: Unreadable | None) -> Callable[[LatteError], None] | None:
    """Return what `named_images` calls for a folder that cannot be listed: a skipped image."""
    if on_unreadable is None:
        return None
    skip = on_unreadable
    return lambda error: skip(SkippedImage(error.where or "", error.what))


def number_of_images(images: GivenImages) -> int | None:
    """Return the number of `images`; None if they would have to be read to be counted."""
    if isinstance(images, Image.Image):
        return 1
    paths = images if isinstance(images, list | tuple) else [images]
    if all(isinstance(path, str | os.PathLike) for path in paths):
        with suppress(LatteError):  # which is raised when the images are read
            return sum(1 for _ in named_images(paths, lambda error: None))
        return None
    return len(images) if isinstance(images, Sized) and hasattr(images, "shape") else None


def _contents(
    images: GivenImages, unlisted: Callable[[LatteError], None] | None, left_out: LeftOut | None
) -> Iterator[Path | Image.Image]:
    if isinstance(images, Image.Image):
        yield images
    elif isinstance(images, str | os.PathLike):
        if not os.fspath(images):  # Path("") would be the current folder
            raise LatteError("an empty path is no image", hint="the current folder is `.`")
        path = Path(images)
        if is_folder(path):
            yield from iterate_images(path, unlisted, left_out)
        else:
            yield path
    elif (
        isinstance(images, Iterable)
        and not isinstance(images, bytes | bytearray | memoryview | io.IOBase)
        and len(getattr(images, "shape", (0,))) == 1  # pixels have more dimensions
    ):
        for image in images:
            yield from _contents(image, unlisted, left_out)
    else:
        raise LatteError(
            f"{type(images).__name__} is no image",
            hint="give paths, folders, Pillow images, or an iterable of these; for an array of "
            "8-bit RGB values: PIL.Image.fromarray(array); for the bytes of an image file: "
            "PIL.Image.open(io.BytesIO(data)); for an open file: PIL.Image.open(file)",
        )


@dataclass(frozen=True)
class ImageViews:
    """An image that was read, for the models that it is encoded or classified by."""

    name: str
    key: str | None
    pixels: tuple[Tensor, ...]
    """One view (3, S, S) uint8 of the image for each pixel format that the members need."""
    features: tuple[Tensor, ...] | None = None
    """The stored feature (D,) of the image for each member; there are then no `pixels`."""
    unread: NamedImage | None = None
    """The image, if it was not decoded because its features may be in a cache."""


def view_batches(
    images: Iterable[NamedImage],
    formats: list[PixelFormat],
    *,
    batch_size: int,
    on_unreadable: Unreadable | None = None,
    stored: StoredFeatures | None = None,
    decoded: Collection[str] = (),
    alone: bool = False,
) -> Generator[list[ImageViews]]:
    """Yield batches of readable images, in order, while the next images are read in threads.

    Files whose content key is in `decoded` are not decoded; `decoded_views` decodes them. `alone`
    is true if the threads need not leave cores to the model. The other arguments and errors are
    those of `encode_stream`.
    """
    read_image = partial(_read, formats=formats, stored=stored, decoded=decoded)
    threads = image_threads(alone=alone)
    images_ahead = max(threads, BATCHES_AHEAD * batch_size)
    results = ordered_map(read_image, images, threads=threads, ahead=images_ahead)
    readable_views = _readable(results, on_unreadable)
    try:
        for first_views in readable_views:
            yield [first_views, *islice(readable_views, batch_size - 1)]
    finally:
        results.close()


def decoded_views(
    views: Sequence[ImageViews], formats: list[PixelFormat], on_unreadable: Unreadable | None
) -> list[ImageViews]:
    """Return the views with pixels, also of images that `view_batches` did not decode.

    Images that cannot be read any more are left out, as by `view_batches`.
    """
    threads = image_threads()
    decode = partial(_decoded, formats=formats)
    outcomes = ordered_map(decode, views, threads=threads, ahead=threads)
    return [*_readable(outcomes, on_unreadable)]


def _decoded(views: ImageViews, formats: list[PixelFormat]) -> ImageViews | SkippedImage:
    return views if views.unread is None else _read(views.unread, formats)


def _readable(
    outcomes: Iterable[ImageViews | SkippedImage], on_unreadable: Unreadable | None
) -> Iterator[ImageViews]:
    """Yield the images that could be read; see `view_batches` for the others."""
    for outcome in outcomes:
        if isinstance(outcome, ImageViews):
            yield outcome
        elif on_unreadable is None:
            raise UnreadableImageError(outcome.reason, where=outcome.id)
        else:
            on_unreadable(outcome)


def _read(
    image: NamedImage,
    formats: list[PixelFormat],
    stored: StoredFeatures | None = None,
    decoded: Collection[str] = (),
) -> ImageViews | SkippedImage:
    try:
        if isinstance(image.content, Image.Image):
            return ImageViews(image.name, None, _views(_upright(image.content), formats))
        data = read_image(ImageReference(str(image.content), image.content))
        key = digest(data)
        features = None if stored is None else stored.features(key)
        if features is None and key in decoded:
            return ImageViews(image.name, key, (), unread=image)
        pixels = _views(decode_image(data), formats) if features is None else ()
        return ImageViews(image.name, key, pixels, features)
    except UnreadableImageError as error:
        return SkippedImage(image.name, error.reason)


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return upright_rgb(picture)
    except Exception as error:  # decoders raise any exception for a damaged file
        raise UnreadableImageError(f"damaged or cut short: {error}") from error


def _views(picture: Image.Image, formats: Iterable[PixelFormat]) -> tuple[Tensor, ...]:
    return tuple(evaluation_pixels(picture, pixel_format) for pixel_format in formats)
