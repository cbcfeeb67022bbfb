"""Prediction for any number of images: find images, encode batches, write rows immediately."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias, Union

import torch
from PIL import Image
from torch import Tensor

from latte.backbone.encode import check_features
from latte.data.images import UnreadableImageError, decode_image, read_image, upright_rgb
from latte.data.prefetch import BATCHES_AHEAD, image_threads, ordered_map, to_device
from latte.data.scan import SkippedImage
from latte.data.sources.walk import LeftOut, iterate_images
from latte.data.views import evaluation_pixels, normalise
from latte.evaluate import predictions
from latte.interfaces import ImageReference, LatteError, PixelFormat
from latte.io.files import digest, partial_file, write_atomically
from latte.io.paths import is_folder, path_as_text
from latte.run.adapted import Adapted

Unreadable = Callable[[SkippedImage], None]

ImageSource: TypeAlias = Union[str, "os.PathLike[str]", Image.Image]
Images: TypeAlias = ImageSource | Iterable[Union[ImageSource, "Images"]]
"""A file, a folder, a Pillow image, or an iterable or generator of these."""


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image that has not been read yet."""

    name: str
    """The given path as text (see `path_as_text`); for a Pillow image, the position, from 0."""
    content: Path | Image.Image


def named_images(
    images: Images,
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


def _contents(
    images: Images, unlisted: Callable[[LatteError], None] | None, left_out: LeftOut | None
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
        and not hasattr(images, "__array__")
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
class Encoded:
    """A batch of B > 0 encoded images."""

    names: tuple[str, ...]
    keys: tuple[str | None, ...]
    """Content keys, computed as for a run's training images; None for Pillow images."""
    features: tuple[Tensor, ...]
    """Unit features (B, D) of each learner, on the CPU."""


@dataclass(frozen=True)
class _Views:
    name: str
    key: str | None
    pixels: tuple[Tensor, ...]
    """One view (3, S, S) uint8 of the image for each pixel format that the learners need."""


def encode_stream(
    adapted: Adapted,
    images: Iterable[NamedImage],
    *,
    batch_size: int,
    on_unreadable: Unreadable | None = None,
) -> Iterator[Encoded]:
    """Yield batches of readable images, in order, each as soon as it is encoded.

    `on_unreadable` is called with each image that cannot be read; these images are left out.

    Raises:
        UnreadableImageError: for the first unreadable image, without `on_unreadable`.
        LatteError: if a feature is not finite, as after training that diverged.
    """
    formats = list(dict.fromkeys(member.backbone.pixel_format for member in adapted.members))
    read_image = partial(_read, formats=formats)
    device = adapted.members[0].backbone.logit_scale.device
    threads = image_threads(alone=device.type == "cuda")
    images_ahead = max(threads, BATCHES_AHEAD * batch_size)
    results = ordered_map(read_image, images, threads=threads, ahead=images_ahead)

    def read_views() -> Iterator[_Views]:
        for outcome in results:
            if isinstance(outcome, _Views):
                yield outcome
            elif on_unreadable is None:
                raise UnreadableImageError(outcome.reason, where=outcome.id)
            else:
                on_unreadable(outcome)

    readable_views = read_views()
    try:
        for first_views in readable_views:
            yield _encode(adapted, formats, [first_views, *islice(readable_views, batch_size - 1)])
    finally:
        results.close()


def _read(image: NamedImage, formats: list[PixelFormat]) -> _Views | SkippedImage:
    try:
        key, picture = _picture(image.content)
        return _Views(
            image.name,
            key,
            tuple(evaluation_pixels(picture, pixel_format) for pixel_format in formats),
        )
    except UnreadableImageError as error:
        return SkippedImage(image.name, error.reason)


def _picture(content: Path | Image.Image) -> tuple[str | None, Image.Image]:
    if isinstance(content, Path):
        data = read_image(ImageReference(str(content), content))
        return digest(data), decode_image(data)
    try:
        return None, upright_rgb(content)
    except Exception as error:  # decoders raise any exception for a damaged file
        raise UnreadableImageError(f"damaged or cut short: {error}") from error


def _encode(adapted: Adapted, formats: list[PixelFormat], views: list[_Views]) -> Encoded:
    with torch.inference_mode():
        device, pixels = adapted.members[0].backbone.logit_scale.device, {}
        for pixel_format, *images in zip(formats, *(view.pixels for view in views), strict=True):
            pixels[pixel_format] = normalise(to_device(torch.stack(images), device), pixel_format)
        features = []
        for member in adapted.members:
            with member.encoding():
                member_pixels = pixels[member.backbone.pixel_format]
                features.append(member.backbone.encode_images(member_pixels).cpu())
    for matrix in features:
        check_features(matrix, "image", where=views[0].name)
    names, keys = tuple(view.name for view in views), tuple(view.key for view in views)
    return Encoded(names, keys, tuple(features))


def write_rows(
    path: Path,
    rows: Iterable[predictions.Prediction],
    format: predictions.PredictionFormat,
    columns: predictions.Columns = predictions.PLAIN,
    on_stopped: Callable[[Path], None] | None = None,
) -> None:
    """Write each row immediately to a temporary file, which replaces `path` at the end.

    If writing stops early, the temporary file is kept as `PATH.partial`, and `path` stays the same.
    If Ctrl-C or a signal stops it after a row, `on_stopped` is called with `PATH.partial`.
    """
    partial_path = partial_file(path)
    has_started = False

    def watched() -> Iterator[predictions.Prediction]:
        nonlocal has_started
        for row in rows:
            has_started = True
            yield row

    try:
        with (
            write_atomically(path, unfinished=partial_path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            predictions.stream_predictions(file, watched(), format, columns)
        partial_path.unlink(missing_ok=True)  # left by an earlier call
    except KeyboardInterrupt:
        if on_stopped is not None and has_started and partial_path.is_file():
            on_stopped(partial_path)
        raise
    except OSError as error:
        has_rows = has_started and partial_path.is_file()
        hint = f"the rows so far are in {partial_path}" if has_rows else None
        raise LatteError(
            f"cannot be written: {error.strerror}", where=str(path), hint=hint
        ) from error
