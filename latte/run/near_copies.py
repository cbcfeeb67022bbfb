"""Find near-copies among the training images: the same picture, saved or scaled again."""

from __future__ import annotations

import numpy
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from latte.data.images import open_image
from latte.data.scan import Scan
from latte.interfaces import ImageReference, LatteError
from latte.toolkit.neighbours import nearest_neighbours

_MOST_IMAGES = 2**14
"""With more images, comparing all of them would take longer than some seconds."""
_MOST_PAIRS = 50
"""Number of pairs with the most similar features whose pixels are compared."""
_WIDTH, _HEIGHT = 9, 8
_DIFFERENT_BITS = 3
"""Largest number of different bits (of 64) in the hashes of near-copies. In six sets of photos, of
which two were not used to choose it, pictures that were saved again differed in at most 1 bit, and
all other pairs in at least 6."""


def near_copies(images: Scan, features: Tensor) -> tuple[tuple[str, str], ...]:
    """Return pairs of ids of near-copies, the most similar first; of many pairs, the first 50.

    A pair has the most similar features, and almost the same hash of its pixels. `features` (N, D)
    are the unit features of the images. Above 16,384 images, none is returned.
    """
    count = len(features)
    if not 1 < count <= _MOST_IMAGES:
        return ()
    cosines, neighbours = nearest_neighbours(features, 1)
    closest = cosines[:, 0].sort(descending=True, stable=True).indices.tolist()
    pairs = dict.fromkeys(
        (min(row, near), max(row, near))
        for row, near in zip(closest, neighbours[closest, 0].tolist(), strict=True)
    )
    return tuple(
        (images.images[row].id, images.images[near].id)
        for row, near in [*pairs][:_MOST_PAIRS]
        if _are_near(images.image(row), images.image(near))
    )


def _are_near(image: ImageReference, neighbour: ImageReference) -> bool:
    try:
        different = _difference_hash(image) != _difference_hash(neighbour)
    except LatteError:  # an image has changed since the run
        return False
    return int(different.sum()) <= _DIFFERENT_BITS


def _difference_hash(image: ImageReference) -> NDArray[numpy.bool_]:
    """Return 64 bits: whether a pixel of the tiny grey image is brighter than the one before it.

    This is the difference hash (dHash) of Krawetz, "Kind of Like That" (2013).
    """
    picture = open_image(image, at_least=4 * _WIDTH).convert("L")
    grey = numpy.asarray(picture.resize((_WIDTH, _HEIGHT), Image.Resampling.BOX), dtype=int)
    bits: NDArray[numpy.bool_] = grey[:, 1:] > grey[:, :-1]
    return bits
