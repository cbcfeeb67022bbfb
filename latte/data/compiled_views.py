"""Training views made by the compiled package latte-views, bit-identical to Pillow's views.

They are used only if they equal Pillow's views of random noise, because Pillow's results differ
between its versions.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from random import Random
from threading import Lock
from typing import Protocol

import numpy
from numpy.typing import NDArray
from PIL import Image

from latte.data.augmentation import (
    Augmentation,
    Box,
    augmented_pixels,
    pillow_resizes_tall_crops_first,
    rounded_amount,
    sample_augmentation,
)
from latte.data.images import Pixels
from latte.interfaces.settings import AugmentSettings

Floats = NDArray[numpy.float32]

ENTRY_POINT_GROUP = "latte.views"
"""Entry points of functions without arguments that return a `ViewWriter`."""

UNCHANGED = numpy.tile(numpy.arange(256, dtype=numpy.float32), (3, 1))
"""A lookup for `CompiledViews.write` that keeps 8-bit values."""
_CHECKED_SIZES = ((97, 64), (40, 30), (31, 120), (24, 24), (64, 200), (200, 23))
"""Widths and heights of the noise images: wide, tall, and smaller and larger than views."""
_LOCK = Lock()


class ViewWriter(Protocol):
    """Compiled function that makes one view."""

    def __call__(
        self,
        pixels: Pixels,
        box: Box,
        changes: Sequence[tuple[int, float]],
        lookup: Floats,
        out: Floats,
        *,
        tall_first: bool,
    ) -> bool:
        """Write the view to `out`, or return False if Pillow must make it; see `latte_views`."""


class CompiledViews:
    """Augmented views made by a `ViewWriter`."""

    def __init__(self, write_view: ViewWriter) -> None:
        self._write_view = write_view
        self._tall_first = pillow_resizes_tall_crops_first()

    def write(
        self, pixels: Pixels, augmentation: Augmentation, lookup: Floats, out: Floats
    ) -> bool:
        """Write the augmented view of `pixels` (H, W, 3) to `out` (3, S, S); all are contiguous.

        `lookup` (3, 256) maps the 8-bit values of each channel to values of `out`. Returns False,
        with nothing written, for very narrow crops, which Pillow must resize.
        """
        changes = [
            (int(kind), rounded_amount(kind, amount)) for kind, amount in augmentation.changes
        ]
        return self._write_view(
            pixels, augmentation.box, changes, lookup, out, tall_first=self._tall_first
        )


def compiled_views() -> CompiledViews | None:
    """Return the installed compiled views, or None; warn once about unusable ones."""
    with _LOCK:
        return _verified()


@cache
def _verified() -> CompiledViews | None:
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            views = CompiledViews(entry_point.load()())
            if all(_repeats_pillow(views, *size) for size in _CHECKED_SIZES):
                return views
            reason = "its views differ from those of the installed Pillow"
        except Exception as error:  # an installed distribution may fail in any way
            reason = str(error) or type(error).__name__
        name = entry_point.dist.name if entry_point.dist else entry_point.name
        warnings.warn(f"{name} is not used: {reason}; Pillow makes the views", stacklevel=3)
    return None


def _repeats_pillow(views: CompiledViews, width: int, height: int) -> bool:
    noise = numpy.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    settings, random = AugmentSettings(jitter_probability=1.0), Random(height)
    for size in (24, 48):
        out = numpy.empty((3, size, size), dtype=numpy.float32)
        augmentation = sample_augmentation(width, height, settings, random)
        if not views.write(noise, augmentation, UNCHANGED, out):
            return False
        if (augmented_pixels(Image.fromarray(noise), augmentation, size).numpy() != out).any():
            return False
    return True
