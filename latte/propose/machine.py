"""The device that runs would use, and its memory; imports torch only where there may be a GPU."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

_GIBIBYTE = 2**30


@dataclass(frozen=True)
class Machine:
    """Where runs would happen."""

    device: str
    """`cuda`, `mps` or `cpu`, as `device: auto` finds it (`mps` must be asked for)."""
    name: str
    memory: float | None
    """Of the device, in GiB."""

    def __str__(self) -> str:
        memory = f", {self.memory:.0f} GiB" if self.memory else ""
        return f"{self.name}{memory}"


def this_machine() -> Machine:
    """What `device: auto` would use here."""
    if _may_have_nvidia():
        gpu = _nvidia()
        if gpu is not None:
            return gpu
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Machine("cpu", f"{cpus} CPU core{'' if cpus == 1 else 's'}, no GPU", _main_memory())


def _may_have_nvidia() -> bool:
    if platform.system() == "Darwin":
        return False
    return bool(shutil.which("nvidia-smi")) or Path("/dev/nvidiactl").exists()


def _nvidia() -> Machine | None:
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    return Machine("cuda", found.name, found.total_memory / _GIBIBYTE)


def _main_memory() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIBIBYTE
    except (AttributeError, ValueError, OSError):
        return None
