"""Training views in one pass of compiled code, with Pillow's bits; off by default.

With `LATTE_COMPILE_VIEWS=1`, views.c is compiled when the first view is made, into a temporary
folder. It is used only if it repeats Pillow's views of random noise, because Pillow's results have
changed between versions. Without it, Pillow makes the same views more slowly.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path
from random import Random
from threading import Lock

import numpy
from numpy.typing import NDArray
from PIL import Image

from latte.data.augmentation import (
    Augmentation,
    augmented_pixels,
    pillow_resizes_tall_crops_first,
    rounded_amount,
    sample_augmentation,
)
from latte.data.images import Pixels
from latte.interfaces.settings import AugmentSettings

VARIABLE = "LATTE_COMPILE_VIEWS"

_FLAGS = ("-O3", "-std=gnu11", "-shared", "-fPIC", "-ffp-contract=off", "-fno-math-errno")
_OPTIONAL_FLAGS = (("-march=native", "-fno-trapping-math"), ())
"""Flags for speed alone, tried in this order: not every compiler knows the first ones."""
_SECONDS_TO_COMPILE = 60
_CHECKED_SIZES = ((97, 64), (40, 30), (31, 120), (24, 24), (64, 200), (200, 23))
"""Width and height of the noise: wide, tall, enlarged and shrunk."""
_LOCK = Lock()


class CompiledViews:
    """The function `view` of views.c."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._tall_first = int(pillow_resizes_tall_crops_first())
        self._view = library.view
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self._view.argtypes = [pointer, ctypes.c_int64, *([number] * 5), *([pointer] * 4)]
        self._view.restype = number

    def write(
        self,
        pixels: Pixels,
        augmentation: Augmentation,
        lookup: NDArray[numpy.float32],
        out: NDArray[numpy.float32],
    ) -> bool:
        """Write the augmented view of `pixels` (H, W, 3) to `out` (3, S, S); all are contiguous.

        `lookup` (3, 256) maps the 8-bit values of each channel to those of `out`. Returns False,
        with nothing written, for very narrow crops, which Pillow must resize.
        """
        left, top, width, height = augmentation.box
        changes = augmentation.changes
        kinds = numpy.array([change for change, _ in changes], dtype=numpy.int32)
        amounts = numpy.array([rounded_amount(*one) for one in changes], dtype=numpy.float64)
        row = 3 * pixels.shape[1]
        failed = self._view(
            pixels.ctypes.data + top * row + 3 * left,
            row,
            width,
            height,
            out.shape[-1],
            self._tall_first,
            len(kinds),
            kinds.ctypes.data,
            amounts.ctypes.data,
            lookup.ctypes.data,
            out.ctypes.data,
        )
        return not failed


def compiled_views() -> CompiledViews | None:
    """Return the compiled code, built by the first call; None unless `LATTE_COMPILE_VIEWS=1`.

    Also None, with a warning, where it cannot be built or does not repeat Pillow's views.
    """
    if os.environ.get(VARIABLE) != "1":
        return None
    with _LOCK:
        return _verified()


@cache
def _verified() -> CompiledViews | None:
    library = _compile()
    views = CompiledViews(library) if library else None
    if views is not None and all(_repeats_pillow(views, *size) for size in _CHECKED_SIZES):
        return views
    reason = "views.c cannot be compiled here" if views is None else "its views are not Pillow's"
    warnings.warn(f"{VARIABLE}=1, but {reason}; Pillow makes the views", stacklevel=3)
    return None


def _compile() -> ctypes.CDLL | None:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    source = Path(__file__).with_name("views.c")
    for optional in _OPTIONAL_FLAGS:
        try:
            with tempfile.TemporaryDirectory(prefix="latte-", ignore_cleanup_errors=True) as folder:
                library = Path(folder) / "views.so"
                command = [compiler, *_FLAGS, *optional, str(source), "-o", str(library), "-lm"]
                subprocess.run(
                    command, check=True, capture_output=True, timeout=_SECONDS_TO_COMPILE
                )
                return ctypes.CDLL(str(library))
        except (OSError, subprocess.SubprocessError):
            continue
    return None


def _repeats_pillow(views: CompiledViews, width: int, height: int) -> bool:
    noise = numpy.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    unchanged = numpy.tile(numpy.arange(256, dtype=numpy.float32), (3, 1))
    settings, random = AugmentSettings(jitter_probability=1.0), Random(height)
    for size in (24, 48):
        out = numpy.empty((3, size, size), dtype=numpy.float32)
        augmentation = sample_augmentation(width, height, settings, random)
        if not views.write(noise, augmentation, unchanged, out):
            return False
        if (augmented_pixels(Image.fromarray(noise), augmentation, size).numpy() != out).any():
            return False
    return True
