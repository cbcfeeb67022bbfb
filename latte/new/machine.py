"""The device of this machine, its memory and its CPU cores."""

from __future__ import annotations

import os
import platform
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """Device on which runs compute, and its memory."""

    device: str
    """`cuda` or `cpu`, as `device: auto` chooses (a recipe must name `mps` to use it)."""
    name: str
    memory: float | None
    """Memory of the device in GiB."""
    cores: int = 1
    """Number of CPU cores."""

    def __str__(self) -> str:
        memory = f", {self.memory:.0f} GiB" if self.memory else ""
        return f"{self.name}{memory}"

    def minutes(self, seconds: float) -> float:
        """Return the minutes for work that takes one CPU core `seconds`; 0 on a GPU."""
        return 0.0 if self.device == "cuda" else seconds / self.cores / 60


def this_machine() -> Machine:
    """Return the device of `device: auto`; imports torch only if an NVIDIA GPU may be present."""
    if _may_have_nvidia():
        with suppress(ImportError):
            import torch

            if torch.cuda.is_available():
                found = torch.cuda.get_device_properties(0)
                return Machine("cuda", found.name, found.total_memory / 2**30)
    cores = usable_cpus()
    name = f"{cores} CPU core{'' if cores == 1 else 's'}, no GPU"
    return Machine("cpu", name, main_memory(), cores)


def usable_cpus() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _may_have_nvidia() -> bool:
    if platform.system() == "Darwin":
        return False
    return bool(shutil.which("nvidia-smi")) or Path("/dev/nvidiactl").exists()


def main_memory() -> float | None:
    """Return the size of the main memory in GiB; None if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return None
