"""Scan of all images before a run: content keys, cached pixels, and unreadable images."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy

from latte import distributed
from latte.data.cache import (
    DEFAULT_CACHE_BYTES,
    ImageCache,
    LayeredStore,
    MemoryStore,
    PixelStore,
)
from latte.data.disk_cache import DiskStore
from latte.data.images import (
    CheckedImage,
    Pixels,
    UnreadableImageError,
    decode_image,
    read_image,
)
from latte.data.prefetch import image_threads, ordered_map
from latte.interfaces import ImageReference, Progress
from latte.io.files import digest, write_atomically


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that cannot be used, and the reason in one line."""

    id: str
    reason: str


_Outcome = tuple[str | None, str]
"""(key, "") of a usable image, or (None, reason) of a skipped image; processes send it as JSON."""


@dataclass(frozen=True)
class Scan:
    """The usable images of a split, in order; `keys[i]` hashes the bytes of `images[i]`."""

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
    disk: PixelStore | None = None,
) -> Scan:
    """Read and decode every image on a few threads; `name` labels the progress bar.

    Pixels are cached for training in `disk`; if `disk` is None or full, up to `max_bytes` of them
    are cached in memory. If the key of an image is in `verified`, the image is decoded only when
    its pixels are first needed. Unreadable images raise no error; they are listed in `skipped`.
    """
    memory = MemoryStore(max_bytes)
    store = memory if disk is None else LayeredStore(disk, memory)
    threads = image_threads()
    read = partial(_read, verified=verified, store=store)
    outcomes: list[_Outcome] = []
    with progress.task(name, len(images), "images") as task:
        for key, reason, pixels in ordered_map(read, images, threads=threads, ahead=4 * threads):
            if key is not None and pixels is not None:
                store.put(key, pixels)
            outcomes.append((key, reason))
            task.advance()
    store.flush()
    return _scan(images, outcomes, store)


def scan_images_distributed(
    images: Sequence[ImageReference],
    progress: Progress,
    name: str,
    verified: Collection[str],
    disk: DiskStore,
) -> Scan:
    """Scan images in parallel: each process of a run reads its share; see `scan_images`.

    Each process returns the scan of all images, and can read the pixels that the other processes
    stored in `disk`.
    """
    share = distributed.share(images)
    scan = scan_images(share, progress, name, verified=verified, disk=disk)
    if distributed.world_size() == 1:
        return scan
    distributed.barrier()
    outcomes = distributed.all_gather_object(_outcomes(share, scan))
    disk.refresh()
    return _merged(images, outcomes, disk)


def write_skipped(path: Path, skipped: Sequence[SkippedImage]) -> None:
    """Write a CSV file with the columns id and reason, atomically."""
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as f,
    ):
        writer = csv.writer(f)
        writer.writerow(["id", "reason"])
        writer.writerows([image.id, image.reason] for image in skipped)


def _read(
    image: ImageReference, verified: Collection[str], store: PixelStore
) -> tuple[str | None, str, Pixels | None]:
    """Return key, reason and pixels of `image`; pixels that are not needed now are None."""
    try:
        data = read_image(image)
        key = digest(data)
        known = key in store or key in verified
        return key, "", None if known else numpy.asarray(decode_image(data))
    except UnreadableImageError as error:
        return None, error.reason, None


def _scan(
    images: Sequence[ImageReference], outcomes: Sequence[_Outcome], store: PixelStore
) -> Scan:
    pairs = list(zip(images, outcomes, strict=True))
    good = tuple(image for image, (key, _) in pairs if key is not None)
    keys = tuple(key for key, _ in outcomes if key is not None)
    skipped = tuple(SkippedImage(image.id, why) for image, (key, why) in pairs if key is None)
    return Scan(good, keys, skipped, ImageCache(good, store=store, keys=keys))


def _outcomes(images: Sequence[ImageReference], scan: Scan) -> list[_Outcome]:
    key_of = {image.id: key for image, key in zip(scan.images, scan.keys, strict=True)}
    reason_of = {one.id: one.reason for one in scan.skipped}
    return [(key_of.get(image.id), reason_of.get(image.id, "")) for image in images]


def _merged(
    images: Sequence[ImageReference], outcomes: Sequence[Sequence[_Outcome]], disk: DiskStore
) -> Scan:
    """Merge outcomes of W processes; process r read the images r, r + W, r + 2W, …"""
    ordered = [outcomes[i % len(outcomes)][i // len(outcomes)] for i in range(len(images))]
    return _scan(images, ordered, LayeredStore(disk, MemoryStore(DEFAULT_CACHE_BYTES)))
