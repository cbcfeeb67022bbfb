"""Pictures of training images for a page: small, and encoded again from the pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO

from latte.data.images import open_image
from latte.interfaces import ImageReference, LatteError


def picture_of(ids: Sequence[str], images: Sequence[ImageReference]) -> Callable[[int, int], bytes]:
    """Return a function from a row of `ids` and a largest side in pixels to a JPEG of that image.

    `images` are all images that the dataset has now. The function raises `LatteError` for an image
    that the dataset no longer has, or that cannot be read.
    """
    found = {image.id: image for image in images}

    def picture(row: int, side: int) -> bytes:
        reference = found.get(ids[row])
        if reference is None:
            raise LatteError("the dataset no longer has this image", where=ids[row])
        image = open_image(reference, at_least=side)
        image.thumbnail((side, side))
        # A new file has none of the original's metadata, such as the place of a photo.
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=88)
        return buffer.getvalue()

    return picture
