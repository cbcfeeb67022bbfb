"""Every image read and decoded once before anything is spent on it: keys, pixels, failures."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
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
    Pixels,
    PixelStore,
)
from latte.data.disk_cache import DiskStore
from latte.data.images import UnreadableImageError, decode_image, unreadable_file
from latte.data.prefetch import image_threads, ordered_map
from latte.interfaces import ImageReference, Progress
from latte.io.files import digest, write_atomically


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
    kept: PixelStore | None = None,
) -> Scan:
    """Read and fully decode every image on a few threads; `name` is what the progress shows.

    Keeps pixels for the training that follows: in `kept`, and up to `max_bytes` that it has no room
    for in memory. Images whose key is among `verified` were decoded before, and are decoded again
    only when somebody needs their pixels and `kept` has none.
    Never raises for an image: those that cannot be read are in `skipped`.
    """
    good: list[ImageReference] = []
    keys: list[str] = []
    skipped: list[SkippedImage] = []
    memory = MemoryStore(max_bytes)
    store = memory if kept is None else LayeredStore(kept, memory)
    threads = image_threads()
    read = partial(_read, verified=verified, store=store)
    results = ordered_map(read, images, threads=threads, ahead=4 * threads)
    with progress.task(name, len(images), "images") as task:
        for image, result in zip(images, results, strict=True):
            if isinstance(result, SkippedImage):
                skipped.append(result)
            else:
                key, pixels = result
                if pixels is not None:
                    store.put(key, pixels)
                good.append(image)
                keys.append(key)
            task.advance()
    store.flush()
    return Scan(tuple(good), tuple(keys), tuple(skipped), ImageCache(good, store=store, keys=keys))


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
    image: ImageReference, verified: Collection[str], store: PixelStore
) -> tuple[str, Pixels | None] | SkippedImage:
    try:
        data = image.read_bytes()
        key = digest(data)
        known = key in store or key in verified
        return key, None if known else numpy.asarray(decode_image(data))
    except OSError as error:
        return SkippedImage(image.id, unreadable_file(error))
    except UnreadableImageError as error:
        return SkippedImage(image.id, error.reason)


# Reading every image once, where several processes work on one run: each reads its share.


_Found = tuple[str | None, str]
"""An image's key, or None and why it is skipped."""


def scan_together(
    images: Sequence[ImageReference],
    progress: Progress,
    name: str,
    verified: Collection[str],
    kept: DiskStore,
) -> Scan:
    """See `scan_images`; every process gets the whole scan, and what the others kept on disk."""
    own = scan_images(distributed.share(images), progress, name, verified=verified, kept=kept)
    if distributed.world_size() == 1:
        return own
    distributed.barrier()
    shares = distributed.all_gather_object(list(_in_order(distributed.share(images), own)))
    kept.look_again()
    return _whole(images, shares, kept)


def _in_order(images: Sequence[ImageReference], scan: Scan) -> Iterator[_Found]:
    key_of = {image.id: key for image, key in zip(scan.images, scan.keys, strict=True)}
    reason_of = {one.id: one.reason for one in scan.skipped}
    for image in images:
        yield key_of.get(image.id), reason_of.get(image.id, "")


def _whole(
    images: Sequence[ImageReference], shares: Sequence[Sequence[_Found]], kept: DiskStore
) -> Scan:
    good: list[ImageReference] = []
    keys: list[str] = []
    skipped: list[SkippedImage] = []
    for place, image in enumerate(images):
        key, reason = shares[place % len(shares)][place // len(shares)]
        if key is None:
            skipped.append(SkippedImage(image.id, reason))
        else:
            good.append(image)
            keys.append(key)
    store = LayeredStore(kept, MemoryStore(DEFAULT_CACHE_BYTES))
    return Scan(tuple(good), tuple(keys), tuple(skipped), ImageCache(good, store=store, keys=keys))
