"""Decoded images kept within a byte budget, so that most are decoded once and not every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from PIL import Image

from latte.data.images import open_image
from latte.interfaces import ImageReference

DEFAULT_CACHE_BYTES = 2 * 1024**3


class PixelStore(Protocol):
    """Where decoded images are kept, by index; used from several threads at once."""

    def get(self, index: int) -> Image.Image | None:
        """The image that was kept for `index`, as a copy that the caller owns; else None."""

    def put(self, index: int, image: Image.Image) -> None:
        """Keep `image` (RGB) if there is room."""


class MemoryStore:
    """Raw pixels in memory: 3 bytes each, of whatever comes first.

    Nothing is ever evicted: epochs visit every image once, and dropping the least recently used
    one would drop exactly what comes next.
    """

    def __init__(self, max_bytes: int) -> None:
        self._free = max_bytes
        self._pixels: dict[int, tuple[tuple[int, int], bytes]] = {}
        self._lock = Lock()

    def get(self, index: int) -> Image.Image | None:
        """A new image with the kept pixels, or None."""
        kept = self._pixels.get(index)
        return None if kept is None else Image.frombytes("RGB", *kept)

    def put(self, index: int, image: Image.Image) -> None:
        """Copy the pixels of `image` (RGB) while the budget lasts."""
        size = 3 * image.width * image.height
        with self._lock:
            if index in self._pixels or size > self._free:
                return
            self._free -= size
            self._pixels[index] = (image.size, image.tobytes())


class ImageCache:
    """The images of one split as RGB pixels, by index. Safe to use from several threads."""

    def __init__(
        self,
        images: Sequence[ImageReference],
        max_bytes: int = DEFAULT_CACHE_BYTES,
        store: PixelStore | None = None,
    ) -> None:
        """Keep up to `max_bytes` of pixels in memory, or what `store` keeps in its place."""
        self.images = images
        self._store = MemoryStore(max_bytes) if store is None else store

    def __len__(self) -> int:
        return len(self.images)

    def get(self, index: int) -> Image.Image:
        """Image `index` as RGB, the caller's own copy. Raises `UnreadableImageError`."""
        kept = self._store.get(index)
        if kept is not None:
            return kept
        image = open_image(self.images[index])
        self._store.put(index, image)
        return image
