"""Prediction for any number of images: find the images, and encode them in batches."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias, Union

import torch
from PIL import Image
from torch import Tensor

from latte.backbone.features import check_features, check_rows
from latte.data.images import (
    SkippedImage,
    UnreadableImageError,
    decode_image,
    read_image,
    upright_rgb,
)
from latte.data.prefetch import BATCHES_AHEAD, image_threads, ordered_map, to_device
from latte.data.sources.walk import LeftOut, iterate_images
from latte.data.views import evaluation_pixels, normalise
from latte.interfaces import ImageReference, LatteError, PixelFormat
from latte.io.files import digest
from latte.io.paths import is_folder, path_as_text
from latte.models.adapted import Adapted
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
class EncodedBatch:
    """A batch of B > 0 encoded images."""

    names: tuple[str, ...]
    keys: tuple[str | None, ...]
    """Content keys, computed as for a run's training images; None for Pillow images."""
    features: tuple[Tensor, ...]
    """Unit features (B, D) of each member of the model, on the CPU."""


@dataclass(frozen=True)
class ImageViews:
    """An image that was read, for the models that it is encoded or classified by."""

    name: str
    key: str | None
    pixels: tuple[Tensor, ...]
    """One view (3, S, S) uint8 of the image for each pixel format that the members need."""
    features: tuple[Tensor, ...] | None = None
    """The stored feature (D,) of the image for each member; there are then no `pixels`."""


def encode_stream(
    adapted: Adapted,
    images: Iterable[NamedImage],
    *,
    batch_size: int,
    on_unreadable: Unreadable | None = None,
    stored: StoredFeatures | None = None,
) -> Iterator[EncodedBatch]:
    """Yield batches of readable images, in order, each as soon as it is encoded.

    `stored` has features of files that need not be encoded again. `on_unreadable` is called with
    each image that cannot be read; these images are left out.

    Raises:
        UnreadableImageError: for the first unreadable image, without `on_unreadable`.
        LatteError: if a feature is not finite, as after training that diverged.
    """
    formats = list(dict.fromkeys(member.encoder.pixel_format for member in adapted.members))
    batches = view_batches(
        images,
        formats,
        batch_size=batch_size,
        on_unreadable=on_unreadable,
        stored=stored,
        alone=adapted.members[0].encoder.device.type == "cuda",
    )
    with closing(batches):
        for views in batches:
            yield _encode(adapted, formats, views)


def view_batches(
    images: Iterable[NamedImage],
    formats: list[PixelFormat],
    *,
    batch_size: int,
    on_unreadable: Unreadable | None = None,
    stored: StoredFeatures | None = None,
    alone: bool = False,
) -> Generator[list[ImageViews]]:
    """Yield batches of readable images, in order, while the next images are read in threads.

    `alone` is true if the threads need not leave cores to the model. The other arguments and errors
    are those of `encode_stream`.
    """
    read_image = partial(_read, formats=formats, stored=stored)
    threads = image_threads(alone=alone)
    images_ahead = max(threads, BATCHES_AHEAD * batch_size)
    results = ordered_map(read_image, images, threads=threads, ahead=images_ahead)

    def read_views() -> Iterator[ImageViews]:
        for outcome in results:
            if isinstance(outcome, ImageViews):
                yield outcome
            elif on_unreadable is None:
                raise UnreadableImageError(outcome.reason, where=outcome.id)
            else:
                on_unreadable(outcome)

    readable_views = read_views()
    try:
        for first_views in readable_views:
            yield [first_views, *islice(readable_views, batch_size - 1)]
    finally:
        results.close()


def _read(
    image: NamedImage, formats: list[PixelFormat], stored: StoredFeatures | None
) -> ImageViews | SkippedImage:
    try:
        if isinstance(image.content, Image.Image):
            return ImageViews(image.name, None, _views(_upright(image.content), formats))
        data = read_image(ImageReference(str(image.content), image.content))
        key = digest(data)
        features = None if stored is None else stored.features(key)
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


def _encode(adapted: Adapted, formats: list[PixelFormat], views: list[ImageViews]) -> EncodedBatch:
    stored = [view.features for view in views if view.features is not None]
    missing = [view for view in views if view.features is None]
    features = _encode_pixels(adapted, formats, missing) if missing else None
    if stored:
        is_stored = torch.tensor([view.features is not None for view in views])
        features = tuple(
            _joined(is_stored, torch.stack(rows), None if features is None else features[number])
            for number, rows in enumerate(zip(*stored, strict=True))
        )
    assert features is not None, "a batch has an image"
    names, keys = tuple(view.name for view in views), tuple(view.key for view in views)
    return EncodedBatch(names, keys, features)


def _joined(is_stored: Tensor, stored: Tensor, encoded: Tensor | None) -> Tensor:
    """Return rows of `stored` where `is_stored` (B,) is true, and rows of `encoded` elsewhere."""
    if encoded is None:
        return stored
    features = torch.empty(len(is_stored), stored.shape[1])
    features[is_stored], features[~is_stored] = stored, encoded
    return features


def _encode_pixels(
    adapted: Adapted, formats: list[PixelFormat], views: list[ImageViews]
) -> tuple[Tensor, ...]:
    """Return the features (B, D) of B images by each member, on the CPU."""
    with torch.inference_mode():
        device, pixels = adapted.members[0].encoder.device, {}
        for pixel_format, *images in zip(formats, *(view.pixels for view in views), strict=True):
            pixels[pixel_format] = normalise(to_device(torch.stack(images), device), pixel_format)
        features = []
        for member in adapted.members:
            with member.encoding():
                member_pixels = pixels[member.encoder.pixel_format]
                rows = member.encoder.encode_images(member_pixels)
                check_rows(member.encoder, rows, len(views), member.encoder.embedding_width)
                features.append(rows.float().cpu())
    for matrix in features:
        check_features(matrix, "image", where=views[0].name)
    return tuple(features)
