"""Training views in one pass of compiled code, where a C compiler is found; Pillow's own bits.

views.c is compiled when it is first needed, into a folder that is gone once it is loaded. Before it
is used it must repeat what Pillow makes of some noise, for what Pillow computes has changed between
versions. Where anything fails there is no kernel, and Pillow makes the views: the same bits, later.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from threading import Lock

import numpy
from numpy.typing import NDArray
from PIL import Image

from latte.data.draws import Draw, amount_of, draw_view, drawn_pixels
from latte.interfaces.settings import AugmentSettings

_FLAGS = ("-O3", "-std=gnu11", "-shared", "-fPIC", "-ffp-contract=off", "-fno-math-errno")
_SPEED = (("-march=native", "-fno-trapping-math"), ())
"""Flags that only make it faster, and what is left if the compiler does not know them."""

_SECONDS_TO_COMPILE = 60
_LOCK = Lock()

_CHECKED_SIZES = ((97, 64), (40, 30), (31, 120), (24, 24), (64, 200), (200, 23))
"""Width and height of noise: wide, tall, enlarged and shrunk."""


class ViewKernel:
    """The compiled `view` of views.c."""

    def __init__(self, library: ctypes.CDLL, tall_first: bool) -> None:
        """`tall_first`: Pillow resizes the height first where it shrinks far more."""
        self._tall_first = int(tall_first)
        self._view = library.view
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self._view.argtypes = [pointer, ctypes.c_int64, *([number] * 5), *([pointer] * 4)]
        self._view.restype = number

    def write(
        self,
        pixels: NDArray[numpy.uint8],
        draw: Draw,
        scaled: NDArray[numpy.float32],
        out: NDArray[numpy.float32],
    ) -> bool:
        """What `draw` shows of `pixels` (H, W, 3), through `scaled` (3, 256), to `out` (3, S, S).

        All are contiguous. False where this view is one for Pillow: of a very narrow crop.
        """
        left, top, width, height = draw.box
        kinds = numpy.array([change for change, _ in draw.changes], dtype=numpy.int32)
        amounts = numpy.array([amount_of(*change) for change in draw.changes], dtype=numpy.float64)
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
            scaled.ctypes.data,
            out.ctypes.data,
        )
        return not failed


def view_kernel() -> ViewKernel | None:
    """The kernel, compiled by the first call; None where there is none, or `LATTE_NATIVE=0`."""
    with _LOCK:
        return _verified_kernel()


@cache
def _verified_kernel() -> ViewKernel | None:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if os.environ.get("LATTE_NATIVE") == "0" or compiler is None:
        return None
    library = _compiled(compiler)
    if library is None:
        return None
    kernel = ViewKernel(library, resizes_tall_first())
    return kernel if all(_repeats_pillow(kernel, *size) for size in _CHECKED_SIZES) else None


def _compiled(compiler: str) -> ctypes.CDLL | None:
    source = Path(__file__).with_name("views.c")
    for speed in _SPEED:
        try:
            with tempfile.TemporaryDirectory(prefix="latte-", ignore_cleanup_errors=True) as folder:
                library = Path(folder) / "views.so"
                command = [compiler, *_FLAGS, *speed, str(source), "-o", str(library), "-lm"]
                subprocess.run(
                    command, check=True, capture_output=True, timeout=_SECONDS_TO_COMPILE
                )
                return ctypes.CDLL(str(library))
        except (OSError, subprocess.SubprocessError):
            continue
    return None


@cache
def resizes_tall_first() -> bool:
    """Whether the installed Pillow resizes heights first where they shrink far more."""
    image = Image.fromarray(_noise(30, 90))
    once = image.resize((16, 16), Image.Resampling.BICUBIC)
    rows_first = image.resize((16, 90), Image.Resampling.BICUBIC)
    return once.tobytes() != rows_first.resize((16, 16), Image.Resampling.BICUBIC).tobytes()


def _repeats_pillow(kernel: ViewKernel, width: int, height: int) -> bool:
    pixels, random = _noise(width, height), Random(height)
    plain = numpy.tile(numpy.arange(256, dtype=numpy.float32), (3, 1))
    augment = AugmentSettings(jitter_probability=1.0)
    for size in (24, 48):
        out = numpy.empty((3, size, size), dtype=numpy.float32)
        draw = draw_view(width, height, augment, random)
        if not kernel.write(pixels, draw, plain, out):
            return False
        if (drawn_pixels(Image.fromarray(pixels), draw, size).numpy() != out).any():
            return False
    return True


def _noise(width: int, height: int) -> NDArray[numpy.uint8]:
    return numpy.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
