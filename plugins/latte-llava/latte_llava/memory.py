"""Recognition of out-of-memory errors, and release of memory."""

from __future__ import annotations

import gc

import torch

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if `error` reports a lack of memory, so that a smaller batch may succeed."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def free_memory() -> None:
    """Release unused memory of the devices."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
