"""Functions to recognise out-of-memory errors and to release memory."""

from __future__ import annotations

import gc

import torch

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if `error` is an out-of-memory error, after which a smaller batch may succeed."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def free_memory() -> None:
    """Release cached memory that torch holds on the devices but does not use."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
