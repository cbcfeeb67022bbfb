"""Keeps freed memory for the next batch instead of handing it back page by page.

With glibc's defaults every large tensor is mapped anew and its pages are cleared by the kernel at
first touch; on a CPU that costs as much time as the arithmetic of a small model does.
"""

from __future__ import annotations

import ctypes
import os
import platform

# malloc.h of the GNU C library
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER = 2**31 - 1
_PAD_BYTES = 64 * 1024**2


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory; returns whether it agreed.

    Nothing happens with another C library, or where the user chose for himself by setting one of
    glibc's `MALLOC_*` variables.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _PAD_BYTES))
    # A list, so that one refusal does not keep the others from being asked for.
    return all([mallopt(option, value) == 1 for option, value in settings])  # noqa: C419
