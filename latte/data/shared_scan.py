"""Reading every image once, where several processes work on one run: each reads its share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from latte import processes
from latte.data.cache import DEFAULT_CACHE_BYTES, ImageCache, LayeredStore, MemoryStore
from latte.data.disk import DiskStore
from latte.data.scan import Scan, SkippedImage, scan_images
from latte.interfaces import ImageReference, Progress

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
    own = scan_images(processes.share(images), progress, name, verified=verified, kept=kept)
    if processes.count() == 1:
        return own
    processes.wait_for_all()
    shares = processes.gather_values(list(_in_order(processes.share(images), own)))
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
