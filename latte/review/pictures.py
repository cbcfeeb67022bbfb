"""Small JPEG pictures of training images for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO

from latte.data.images import open_image
from latte.interfaces import ImageReference, LatteError


def picture_of(ids: Sequence[str], images: Sequence[ImageReference]) -> Callable[[int, int], bytes]:
    """Return a function `picture(index, side)` that returns the image `ids[index]` as a JPEG.

    The JPEG's longer side has at most `side` pixels. `images` are all images that the dataset has
    now. The function raises `LatteError` for an image that is no longer in the dataset, or that
    cannot be read.
    """
    found = {image.id: image for image in images}

    def picture(row: int, side: int) -> bytes:
        reference = found.get(ids[row])
        if reference is None:
            raise LatteError("the dataset no longer has this image", where=ids[row])
        image = open_image(reference, at_least=side)
        image.thumbnail((side, side))
        # A new JPEG has none of the original's metadata, such as the place where a photo was taken.
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=88)
        return buffer.getvalue()

    return picture
