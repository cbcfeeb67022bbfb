"""Cache of decoded images, up to a number of bytes, so that later epochs need not decode again."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from threading import Lock

import numpy
from PIL import Image

from latte.data.disk_cache import DiskStore
from latte.data.images import CheckedImage, Pixels, open_image
from latte.data.near_copies import SIDE, thumbnail
from latte.data.views import evaluation_pixels
from latte.interfaces import ImageReference, PixelFormat
from latte.io.files import digest, digest_json, write_text

DEFAULT_CACHE_BYTES = 2 * 1024**3


class ImageCache:
    """Cache of one split's images as RGB pixels, by index; safe to use from several threads."""

    def __init__(
        self,
        images: Sequence[ImageReference],
        store: PixelStore | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """Cache pixels in `store`, by default up to `DEFAULT_CACHE_BYTES` in memory.

        A `store` that is shared with other caches needs `keys`, the hashes of the images' contents.
        """
        self.images = images
        self.store: PixelStore = PixelStore(DEFAULT_CACHE_BYTES) if store is None else store
        self._keys = keys

    def __len__(self) -> int:
        return len(self.images)

    def get(self, index: int) -> Image.Image:
        """Return a copy of image `index` as RGB.

        Raises `UnreadableImageError`, or `LatteError` if the image changed after it was scanned.
        """
        cached_pixels = self.store.get(self._name(index))
        if cached_pixels is not None:
            return Image.fromarray(cached_pixels)
        image = open_image(self._reference(index))
        self.store.put(self._name(index), numpy.asarray(image))
        return image

    def pixels(self, index: int) -> Pixels:
        """Return image `index` as (H, W, 3), read-only. Raises `UnreadableImageError`."""
        cached_pixels = self.store.get(self._name(index))
        return numpy.asarray(self.get(index)) if cached_pixels is None else cached_pixels

    def evaluation_pixels(self, index: int, pixel_format: PixelFormat) -> Pixels:
        """Return the evaluation view of image `index` before normalisation: (3, S, S) uint8."""
        # All fields of the pixel format that change 8-bit pixels, so not the normalisation.
        fields = (pixel_format.size, pixel_format.interpolation, pixel_format.resize_mode)
        short_side = () if pixel_format.short_side is None else (pixel_format.short_side,)
        name = f"{self._name(index)}:{digest_json([*fields, *short_side])[:8]}"
        cached_pixels = self.store.get(name)
        if cached_pixels is not None:
            return cached_pixels
        pixels: Pixels = evaluation_pixels(self.get(index), pixel_format).contiguous().numpy()
        self.store.put(name, pixels)
        return pixels

    def thumbnail(self, index: int) -> Pixels:
        """Return a small square picture (S, S, 3) of image `index`; see `latte.data.near_copies`.

        Raises `UnreadableImageError`, or `LatteError` if the image changed after it was scanned.
        """
        name = f"{self._name(index)}:thumbnail"
        cached_picture = self.store.get(name)
        if cached_picture is not None:
            return cached_picture
        cached_pixels = self.store.get(self._name(index))
        if cached_pixels is None:
            image = open_image(self._reference(index), at_least=2 * SIDE)
        else:
            image = Image.fromarray(cached_pixels)
        picture = thumbnail(image)
        self.store.put(name, picture)
        return picture

    def _reference(self, index: int) -> ImageReference:
        reference = self.images[index]
        return reference if self._keys is None else CheckedImage(reference, self._keys[index])

    def _name(self, index: int) -> str:
        return str(index) if self._keys is None else self._keys[index]


class PixelStore:
    """Store of decoded pixels by name, on disk or else in memory; several threads may use it.

    Nothing is evicted from memory: every epoch uses every image once, so an evicted image would
    soon be needed again.
    """

    def __init__(self, max_bytes: int, disk: DiskStore | None = None) -> None:
        """Use up to `max_bytes` of memory for the pixels that `disk` cannot store."""
        self._free = max_bytes
        self._disk = disk
        self._pixels: dict[str, Pixels] = {}
        self._lock = Lock()

    def __contains__(self, name: str) -> bool:
        """Return True if pixels are stored as `name`."""
        return name in self._pixels or (self._disk is not None and name in self._disk)

    def get(self, name: str) -> Pixels | None:
        """Return the pixels stored as `name`: read-only and not copied; None if there are none."""
        disk_pixels = None if self._disk is None else self._disk.get(name)
        return self._pixels.get(name) if disk_pixels is None else disk_pixels

    def put(self, name: str, pixels: Pixels) -> bool:
        """Store `pixels`, which must not change afterwards. Returns False if there is no room."""
        if self._disk is not None and self._disk.put(name, pixels):
            return True
        with self._lock:
            if name in self._pixels:
                return True
            if pixels.nbytes > self._free:
                return False
            self._free -= pixels.nbytes
            self._pixels[name] = pixels
            return True

    def flush(self) -> None:
        """Make the pixels on disk available to later runs."""
        if self._disk is not None:
            self._disk.flush()


class DecodedImages:
    """Keys of images that earlier runs decoded without error; later runs need not check them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.keys: frozenset[str] = frozenset(
            key for path in folder.glob("*.txt") for key in _read_keys(path)
        )

    def note(self, keys: Collection[str]) -> None:
        """Record `keys` for later runs. A write error is ignored: later runs decode again."""
        new_keys = sorted({*keys} - self.keys)
        if new_keys:
            with contextlib.suppress(OSError):
                write_text(self._folder / f"{digest(*new_keys)}.txt", "\n".join(new_keys) + "\n")


def _read_keys(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
