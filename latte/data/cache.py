"""Keys of images that some run has decoded without a fault: nobody decodes them again to know."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy
from numpy.typing import NDArray
from PIL import Image

from latte.data.images import open_image
from latte.data.views import evaluation_pixels
from latte.interfaces import ImageReference, PixelFormat
from latte.io.files import digest, digest_json, write_text


class DecodedImages:
    """What is known across runs, in a folder of the cache; each run adds a file of new keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.keys = frozenset(key for path in folder.glob("*.txt") for key in _lines(path))

    def note(self, keys: Collection[str]) -> None:
        """Remember `keys` for later runs; where that fails, they decode the images again."""
        new = sorted({*keys} - self.keys)
        if new:
            with contextlib.suppress(OSError):
                write_text(self._folder / f"{digest(*new)}.txt", "\n".join(new) + "\n")


def _lines(path: Path) -> list[str]:
    """What a file notes; a damaged one costs no more than decoding again."""
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


# Decoded images kept within byte budgets, so that they are decoded once and not every epoch.


DEFAULT_CACHE_BYTES = 2 * 1024**3

Pixels = NDArray[numpy.uint8]


class PixelStore(Protocol):
    """Where arrays of 8-bit pixels are kept, by name; used from several threads at once."""

    def __contains__(self, name: str) -> bool:
        """Whether `get` has something for `name`."""

    def get(self, name: str) -> Pixels | None:
        """What was kept as `name`, for reading only; else None."""

    def put(self, name: str, pixels: Pixels) -> bool:
        """Keep `pixels`, which nobody changes any more; whether there was room."""

    def flush(self) -> None:
        """Make what was put last, if it is to outlast the process."""


class MemoryStore:
    """Raw pixels in memory: 3 bytes each, of whatever comes first.

    Nothing is ever evicted: epochs visit every image once, and dropping the least recently used
    one would drop exactly what comes next.
    """

    def __init__(self, max_bytes: int) -> None:
        self._free = max_bytes
        self._pixels: dict[str, Pixels] = {}
        self._lock = Lock()

    def __contains__(self, name: str) -> bool:
        """Whether `name` is kept."""
        return name in self._pixels

    def get(self, name: str) -> Pixels | None:
        """The kept pixels, not copied, or None."""
        return self._pixels.get(name)

    def put(self, name: str, pixels: Pixels) -> bool:
        """Keep `pixels` while the budget lasts."""
        with self._lock:
            if name in self._pixels:
                return True
            if pixels.nbytes > self._free:
                return False
            self._free -= pixels.nbytes
            self._pixels[name] = pixels
            return True

    def flush(self) -> None:
        """Memory does not outlast the process."""


class LayeredStore:
    """Stores of which each takes what those before it have no room for."""

    def __init__(self, *stores: PixelStore) -> None:
        self._stores = stores

    def __contains__(self, name: str) -> bool:
        """Whether any store keeps `name`."""
        return any(name in store for store in self._stores)

    def get(self, name: str) -> Pixels | None:
        """What the first store that has `name` keeps."""
        found = (store.get(name) for store in self._stores)
        return next((pixels for pixels in found if pixels is not None), None)

    def put(self, name: str, pixels: Pixels) -> bool:
        """Keep `pixels` in the first store with room."""
        return any(store.put(name, pixels) for store in self._stores)

    def flush(self) -> None:
        """Flush every store."""
        for store in self._stores:
            store.flush()


class ImageCache:
    """The images of one split as RGB pixels, by index. Safe to use from several threads."""

    def __init__(
        self,
        images: Sequence[ImageReference],
        max_bytes: int = DEFAULT_CACHE_BYTES,
        store: PixelStore | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """Keep up to `max_bytes` of pixels in memory, or what `store` keeps in its place.

        `keys` stand for the images' contents, and are what a store that outlasts this needs.
        """
        self.images = images
        self.store: PixelStore = MemoryStore(max_bytes) if store is None else store
        self._keys = keys

    def __len__(self) -> int:
        return len(self.images)

    def get(self, index: int) -> Image.Image:
        """Image `index` as RGB, the caller's own copy. Raises `UnreadableImageError`."""
        kept = self.store.get(self._name(index))
        if kept is not None:
            return Image.fromarray(kept)
        image = open_image(self.images[index])
        self.store.put(self._name(index), numpy.asarray(image))
        return image

    def pixels(self, index: int) -> Pixels:
        """Image `index` as (H, W, 3), for reading only. Raises `UnreadableImageError`."""
        kept = self.store.get(self._name(index))
        return numpy.asarray(self.get(index)) if kept is None else kept

    def evaluation_pixels(self, index: int, pixel_format: PixelFormat) -> Pixels:
        """The evaluation view before normalisation: (3, S, S), for reading only.

        Raises `UnreadableImageError`.
        """
        name = f"{self._name(index)}:{_format_key(pixel_format)}"
        kept = self.store.get(name)
        if kept is not None:
            return kept
        pixels: Pixels = evaluation_pixels(self.get(index), pixel_format).contiguous().numpy()
        self.store.put(name, pixels)
        return pixels

    def flush(self) -> None:
        """Let later runs have what was decoded here."""
        self.store.flush()

    def _name(self, index: int) -> str:
        return str(index) if self._keys is None else self._keys[index]


def _format_key(pixel_format: PixelFormat) -> str:
    """Of what the pixels depend on: all but the normalisation."""
    parts = [pixel_format.size, pixel_format.interpolation, pixel_format.resize_mode]
    return digest_json(parts)[:8]
