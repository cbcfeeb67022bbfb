"""How much memory a stage needs: the peak of this process, or of the GPU, while it ran."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""See proc(5): resets the peak resident set size of this process."""
_MEGABYTE = 2**20


def start_measuring(device: str) -> None:
    """Forget earlier peaks, as far as the system allows."""
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(device: str) -> float | None:
    """Peak since `start_measuring` in MiB: of the GPU where there is one, else of this process.

    None where the system does not tell. A process keeps memory that it has freed (`memory.py`), so
    that what an earlier run in it needed counts for a later one.
    """
    if device.startswith("cuda"):
        import torch

        return round(torch.cuda.max_memory_allocated(device) / _MEGABYTE, 1)
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return round(int(found[1]) / 1024, 1) if found else None
