"""Random training views (augmented crops), in one pass of compiled code, bit-identical to Pillow's.

latte finds `load` through the entry-point group `latte.views`. The library is compiled from views.c
when this package is installed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy
from numpy.typing import NDArray

_LIBRARY = "latte_views._views"
_POINTER, _INT = ctypes.c_void_p, ctypes.c_int


def load() -> Callable[..., bool]:
    """Load the compiled library and return its function. Raises `OSError` if it is missing."""
    spec = find_spec(_LIBRARY)
    if spec is None or spec.origin is None:
        raise OSError("latte-views was installed without a C compiler, so its library is missing")
    return ViewLibrary(ctypes.CDLL(spec.origin)).write


class ViewLibrary:
    """Wrapper of the compiled function `view` of views.c."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._view: Any = library.view
        self._view.argtypes = [_POINTER, ctypes.c_int64, *([_INT] * 5), *([_POINTER] * 4)]
        self._view.restype = _INT

    def write(
        self,
        pixels: NDArray[numpy.uint8],
        box: tuple[int, int, int, int],
        changes: Sequence[tuple[int, float]],
        lookup: NDArray[numpy.float32],
        out: NDArray[numpy.float32],
        *,
        tall_first: bool,
    ) -> bool:
        """Write the view of one image to `out`; all arrays must be C-contiguous.

        Args:
            pixels: The image (H, W, 3).
            box: Left, top, width and height of the crop, in pixels, inside the image.
            changes: Colour changes in the order of application, each a kind (0 brightness,
                1 contrast, 2 saturation, 3 hue, 4 gray) and an amount: a factor, or 256ths of a
                turn for hue.
            lookup: The output value of each 8-bit value of each channel (3, 256).
            out: The array (3, S, S) to which the view is written.
            tall_first: Resize columns before rows if the height shrinks far more than the width, as
                newer versions of Pillow do.

        Returns:
            True if the view was written. For crops and views narrower than 22 pixels, nothing is
            written and False is returned.
        """
        left, top, width, height = box
        kinds = numpy.array([kind for kind, _ in changes], dtype=numpy.int32)
        amounts = numpy.array([amount for _, amount in changes], dtype=numpy.float64)
        row = 3 * pixels.shape[1]
        failed = self._view(
            pixels.ctypes.data + top * row + 3 * left,
            row,
            width,
            height,
            out.shape[-1],
            int(tall_first),
            len(kinds),
            kinds.ctypes.data,
            amounts.ctypes.data,
            lookup.ctypes.data,
            out.ctypes.data,
        )
        return not failed
