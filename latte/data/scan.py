"""Every image read and decoded once before anything is spent on it: keys, pixels, failures."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from PIL import Image

from latte.data.cache import DEFAULT_CACHE_BYTES, ImageCache, MemoryStore
from latte.data.images import UnreadableImageError, decode_image, unreadable_file
from latte.data.prefetch import image_threads, ordered_map
from latte.files import digest, write_atomically
from latte.interfaces import ImageReference, Progress


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that cannot be used, and why, in one line."""

    id: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """The usable images of a split, in their order; `keys[i]` hashes the bytes of `images[i]`."""

    images: tuple[ImageReference, ...]
    keys: tuple[str, ...]
    skipped: tuple[SkippedImage, ...]
    cache: ImageCache = field(compare=False, repr=False)
    """Over `images`, already holding as many decoded ones as its budget allows."""


def scan_images(
    images: Sequence[ImageReference],
    progress: Progress,
    name: str,
    max_bytes: int = DEFAULT_CACHE_BYTES,
    verified: Collection[str] = (),
) -> Scan:
    """Read and fully decode every image on a few threads; `name` is what the progress shows.

    Keeps up to `max_bytes` of pixels for the training that follows. Images whose key is among
    `verified` were decoded before, and are decoded again only when somebody needs their pixels.
    Never raises for an image: those that cannot be read are in `skipped`.
    """
    good: list[ImageReference] = []
    keys: list[str] = []
    skipped: list[SkippedImage] = []
    store = MemoryStore(max_bytes)
    threads = image_threads()
    read = partial(_read, verified=verified)
    results = ordered_map(read, images, threads=threads, ahead=4 * threads)
    with progress.task(name, len(images), "images") as task:
        for image, result in zip(images, results, strict=True):
            if isinstance(result, SkippedImage):
                skipped.append(result)
            else:
                key, pixels = result
                if pixels is not None:
                    store.put(len(good), pixels)
                good.append(image)
                keys.append(key)
            task.advance()
    return Scan(tuple(good), tuple(keys), tuple(skipped), ImageCache(good, max_bytes, store))


def write_skipped(path: Path, skipped: Sequence[SkippedImage]) -> None:
    """A CSV with the columns id and reason, whole or not at all."""
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as f,
    ):
        writer = csv.writer(f)
        writer.writerow(["id", "reason"])
        writer.writerows([image.id, image.reason] for image in skipped)


def _read(
    image: ImageReference, verified: Collection[str]
) -> tuple[str, Image.Image | None] | SkippedImage:
    try:
        data = image.read_bytes()
        key = digest(data)
        return key, None if key in verified else decode_image(data)
    except OSError as error:
        return SkippedImage(image.id, unreadable_file(error))
    except UnreadableImageError as error:
        return SkippedImage(image.id, error.reason)
