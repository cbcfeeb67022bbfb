"""Small pictures of a run's training images, for the review page."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain

from PIL import Image

from latte.data.images import CheckedImage, open_image
from latte.interfaces import ImageReference, LatteError

Picture = Callable[[int, int], bytes]
"""Function from a training image's index and a largest side in pixels to a JPEG of the image."""

_LARGE, _SMALL = 1024, 320


class Pictures:
    """Photos of a review by their index, in two sizes."""

    def __init__(self, picture: Picture, count: int) -> None:
        self._picture, self._count = picture, count
        self._large = lru_cache(maxsize=4)(lambda row: picture(row, _LARGE))

    def jpeg(self, row: int, *, is_small: bool) -> bytes:
        """Return a photo. Raises `LatteError` if there is none, or it cannot be shown."""
        if row not in range(self._count):
            raise LatteError("there is no such image")
        return self._picture(row, _SMALL) if is_small else self._large(row)

    def can_show(self, row: int) -> bool:
        """Return True if the photo is still there and can be read."""
        try:
            self._large(row)
        except LatteError:
            return False
        return True


def picture_of(
    ids: Sequence[str], keys: Sequence[str], images: Sequence[ImageReference]
) -> Picture:
    """Return a function `picture(index, side)` that returns the image `ids[index]` as a JPEG.

    The JPEG's longer side has at most `side` pixels. `keys` are the content keys of `ids`, and
    `images` are the images that the dataset has now. If the image is not one of them, has changed,
    or cannot be read, a copy with the same content key is shown. The function raises `LatteError`
    if there is no such copy.
    """
    by_id = {image.id: image for image in images}

    def opened(row: int, side: int) -> Image.Image:
        copies = (id_ for id_, key in zip(ids, keys, strict=True) if key == keys[row])
        for name in chain([ids[row]], copies):
            if name in by_id:
                with suppress(LatteError):
                    return open_image(CheckedImage(by_id[name], keys[row]), at_least=side)
        what = "this image has changed, cannot be read, or is not in the dataset any more"
        raise LatteError(what, where=ids[row])

    def picture(row: int, side: int) -> bytes:
        image = opened(row, side)
        image.thumbnail((side, side))
        # A new JPEG has none of the original's metadata, such as the place where a photo was taken.
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=88)
        return buffer.getvalue()

    return picture
