"""Freed memory of the process: glibc keeps it for the next batch, or returns it."""

from __future__ import annotations

import ctypes
import os
import platform

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
"""Options of mallopt; see malloc.h of the GNU C library."""
_NEVER = 2**31 - 1
_PAD_BYTES = 64 * 1024**2


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next batch; return True if this works.

    By default glibc maps new memory for every large tensor, and the system clears each new page,
    which takes as long as the arithmetic of a small model. `MALLOC_*` variables of the user take
    precedence.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _PAD_BYTES))
    # A list, so that all options are set even if glibc refuses one.
    return all([mallopt(option, value) == 1 for option, value in settings])  # noqa: C419


def return_freed_memory() -> None:
    """Make glibc return freed memory to the system.

    Otherwise glibc keeps the memory that finished threads freed in their arenas.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
