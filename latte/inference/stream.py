"""Images through a run's model: read and decoded ahead on threads, encoded in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from latte.data.images import UnreadableImageError, decode_image, unreadable_file, upright_rgb
from latte.data.prefetch import image_threads, ordered_map
from latte.data.scan import SkippedImage
from latte.data.views import evaluation_pixels, normalise
from latte.files import digest
from latte.inference.sources import NamedImage
from latte.interfaces import LatteError, PixelFormat
from latte.run.adapted import Adapted

Unreadable = Callable[[SkippedImage], None]

_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Encoded:
    """A batch of B > 0 images, as the model sees them."""

    names: tuple[str, ...]
    keys: tuple[str | None, ...]
    """Of the bytes of each image, as a run's training images have them; None for Pillow images."""
    features: tuple[Tensor, ...]
    """Each learner's unit features (B, D), on the CPU."""


@dataclass(frozen=True)
class _Views:
    name: str
    key: str | None
    pixels: tuple[Tensor, ...]
    """One (3, S, S) uint8 for each pixel format."""


def encode_stream(
    adapted: Adapted,
    images: Iterable[NamedImage],
    *,
    batch_size: int,
    on_unreadable: Unreadable | None = None,
) -> Iterator[Encoded]:
    """Batches of readable images, in order, each as soon as it is encoded.

    No more than two batches of decoded images wait at a time, however many there are.
    `on_unreadable` is told of images that cannot be read, and they are left out.

    Raises:
        UnreadableImageError: for the first unreadable image, without `on_unreadable`.
        LatteError: if a feature is not finite, as after training that diverged.
    """
    formats = list(dict.fromkeys(member.backbone.pixel_format for member in adapted.members))
    read = partial(_read, formats=formats)
    threads = image_threads(alone=torch.cuda.is_available())
    ahead = max(threads, _BATCHES_AHEAD * batch_size)
    results = ordered_map(read, images, threads=threads, ahead=ahead)
    readable = _readable(results, on_unreadable)
    try:
        for first in readable:
            yield _encode(adapted, formats, [first, *islice(readable, batch_size - 1)])
    finally:
        results.close()


def _readable(
    results: Iterable[_Views | SkippedImage], on_unreadable: Unreadable | None
) -> Iterator[_Views]:
    for one in results:
        if isinstance(one, _Views):
            yield one
        elif on_unreadable is None:
            raise UnreadableImageError(one.reason, where=one.id)
        else:
            on_unreadable(one)


def _read(image: NamedImage, formats: list[PixelFormat]) -> _Views | SkippedImage:
    try:
        key, picture = _picture(image.content)
        return _Views(image.name, key, tuple(evaluation_pixels(picture, one) for one in formats))
    except OSError as error:
        return SkippedImage(image.name, unreadable_file(error))
    except UnreadableImageError as error:
        return SkippedImage(image.name, error.reason)


def _picture(content: Path | Image.Image) -> tuple[str | None, Image.Image]:
    if isinstance(content, Path):
        data = content.read_bytes()
        return digest(data), decode_image(data)
    try:
        return None, upright_rgb(content)
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        raise UnreadableImageError(f"damaged or cut short: {error}") from error


def _encode(adapted: Adapted, formats: list[PixelFormat], views: list[_Views]) -> Encoded:
    with torch.inference_mode():
        pixels = {
            one: normalise(torch.stack([view.pixels[index] for view in views]), one)
            for index, one in enumerate(formats)
        }
        features = tuple(
            member.backbone.encode_images(pixels[member.backbone.pixel_format]).cpu()
            for member in adapted.members
        )
    if not all(one.isfinite().all() for one in features):
        raise LatteError(
            "the image tower gives features that are not finite numbers",
            where=views[0].name,
            hint="if this is a trained model, training diverged: lower the learning rate",
        )
    names, keys = tuple(view.name for view in views), tuple(view.key for view in views)
    return Encoded(names, keys, features)
