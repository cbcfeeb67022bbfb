"""Scan of all images before a run: content keys, cached pixels, and unreadable images."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy

from latte import distributed
from latte.data.cache import DEFAULT_CACHE_BYTES, ImageCache, PixelStore
from latte.data.disk_cache import DiskStore
from latte.data.images import (
    CheckedImage,
    Pixels,
    SkippedImage,
    UnreadableImageError,
    decode_image,
    read_image,
)
from latte.data.prefetch import image_threads, ordered_map
from latte.interfaces import ImageReference, Progress
from latte.io.files import digest, write_atomically

_KeyOrReason = tuple[str | None, str]
"""(key, "") of a usable image, or (None, reason) of a skipped image; processes send it as JSON."""


@dataclass(frozen=True)
class Scan:
    """The usable images of a split, in order; `keys[i]` is the hash of the bytes of `images[i]`."""

    images: tuple[ImageReference, ...]
    keys: tuple[str, ...]
    skipped: tuple[SkippedImage, ...]
    cache: ImageCache = field(compare=False, repr=False)
    """Cache of `images`, which holds as many decoded images as its budget allows."""

    def image(self, index: int) -> ImageReference:
        """Return image `index`; reading it raises `LatteError` if its content has changed."""
        return CheckedImage(self.images[index], self.keys[index])


def scan_images(
    images: Sequence[ImageReference],
    progress: Progress,
    name: str,
    max_bytes: int = DEFAULT_CACHE_BYTES,
    verified: Collection[str] = (),
    disk: DiskStore | None = None,
) -> Scan:
    """Read and decode every image on a few threads; `name` labels the progress bar.

    Pixels are cached for training: in `disk`, or else up to `max_bytes` of them in memory. An image
    whose content hash is in `verified` is decoded only when its pixels are first needed. Unreadable
    images raise no error; they are listed in `skipped`. In a distributed run, each process reads
    some of the images, and returns the scan of all images.
    """
    store, process_images = PixelStore(max_bytes, disk), distributed.share(images)
    threads = image_threads()
    read_image_file = partial(_read, verified=verified, store=store)
    process_outcomes: list[_KeyOrReason] = []
    with progress.task(name, len(process_images), "images") as task:
        for key, reason, pixels in ordered_map(
            read_image_file, process_images, threads=threads, ahead=4 * threads
        ):
            if key is not None and pixels is not None:
                store.put(key, pixels)
            process_outcomes.append((key, reason))
            task.advance()
    store.flush()
    distributed.barrier()
    all_outcomes = distributed.all_gather_object(process_outcomes)
    if disk is not None and len(all_outcomes) > 1:
        disk.refresh()
    # Of W processes, process r has read the images r, r + W, r + 2W, and so on.
    outcomes = [
        all_outcomes[index % len(all_outcomes)][index // len(all_outcomes)]
        for index in range(len(images))
    ]
    keys = tuple(key for key, _ in outcomes if key is not None)
    readable_images = tuple(
        image for image, (key, _) in zip(images, outcomes, strict=True) if key is not None
    )
    skipped = tuple(
        SkippedImage(image.id, reason)
        for image, (key, reason) in zip(images, outcomes, strict=True)
        if key is None
    )
    return Scan(readable_images, keys, skipped, ImageCache(readable_images, store=store, keys=keys))


def write_skipped(path: Path, skipped: Sequence[SkippedImage], column: str = "id") -> None:
    """Write a CSV file of skipped images, atomically: ids in the column `column`, and reasons."""
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow([column, "reason"])
        writer.writerows([image.id, image.reason] for image in skipped)


def _read(
    image: ImageReference, verified: Collection[str], store: PixelStore
) -> tuple[str | None, str, Pixels | None]:
    """Read an image; return its content hash, why it is unreadable, and its pixels.

    The pixels are None if they are in `store`, or if the hash is in `verified`.
    """
    try:
        data = read_image(image)
        key = digest(data)
        skips_decoding = key in store or key in verified
        return key, "", None if skips_decoding else numpy.asarray(decode_image(data))
    except UnreadableImageError as error:
        return None, error.reason, None
