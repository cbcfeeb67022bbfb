"""Small pictures that travel inside the page, as `data:` URIs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageOps

from latte.data.images import UnreadableImageError, decode_image
from latte.interfaces import ImageReference

_QUALITY = 85


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG inside its own address; width and height in pixels."""

    source: str
    width: int
    height: int


class Thumbnails:
    """Makes each thumbnail once: an image may stand in many groups."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int, bool], Thumbnail | None] = {}

    def whole(self, image: ImageReference, size: int) -> Thumbnail | None:
        """All of an image, its longer side `size` pixels; None if it cannot be read."""
        return self._get(image, size, square=False)

    def square(self, image: ImageReference, size: int) -> Thumbnail | None:
        """The central square of an image; None if it cannot be read."""
        return self._get(image, size, square=True)

    def _get(self, image: ImageReference, size: int, *, square: bool) -> Thumbnail | None:
        key = (image.id, size, square)
        if key not in self._made:
            self._made[key] = _make(image, size, square=square)
        return self._made[key]


def _make(image: ImageReference, size: int, *, square: bool) -> Thumbnail | None:
    try:
        picture = decode_image(image.read_bytes(), at_least=2 * size)
    except (OSError, UnreadableImageError):
        return None
    resize = ImageOps.fit if square else ImageOps.contain
    return _encode(resize(picture, (size, size), Image.Resampling.LANCZOS))


def _encode(picture: Image.Image) -> Thumbnail:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/jpeg;base64,{text}", picture.width, picture.height)
