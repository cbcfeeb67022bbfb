"""What processes of one run need in common before the first stage: a folder, and devices apart."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latte import distributed
from latte.interfaces import LatteError
from latte.recipe.model import Choice, Recipe
from latte.results.folder import RunFolder
from latte.version import __version__


def share_folder(folder: RunFolder) -> None:
    """Raise `LatteError` where a process does not see the run folder of the first one."""
    if distributed.world_size() == 1:
        return
    sign = distributed.broadcast(folder.sign)
    if not distributed.wait_until(lambda: folder.shows(sign)):
        raise LatteError(
            "this process does not see the run folder of the first one",
            where=str(folder.path),
            hint="all machines of a run must share the folder `output`, and LATTE_CACHE",
        )


def take_device(device: str) -> None:
    """Make a GPU this process's own, as NCCL wants it, where there are several processes.

    Raises `LatteError` for a device that several processes cannot work on together.
    """
    kind = device.partition(":")[0]
    if distributed.world_size() == 1 or kind == "cpu":
        return
    if kind != "cuda" or device != distributed.local_device("cuda"):
        raise LatteError(
            f"{distributed.world_size()} processes cannot work on `{device}` together",
            where="device",
            hint="write `device: auto`: each process takes a GPU of its own; or `device: cpu`",
        )
    import torch

    torch.cuda.set_device(device)


# How much memory a stage needs: the peak of this process, or of the GPU, while it ran.


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


# Keeps freed memory for the next batch instead of handing it back page by page.
#
# With glibc's defaults every large tensor is mapped anew and its pages are cleared by the kernel
# at first touch; on a CPU that costs as much time as the arithmetic of a small model does.


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


# `deterministic: true`: the same bits again on a GPU, for what that costs.
#
# On a CPU runs repeat to the bit anyway. On a GPU some operations add numbers in no fixed order,
# which is faster; here torch takes others, or raises where there are none. What it costs depends
# on the model; nothing here has been measured on a GPU.


_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_FIXED_WORKSPACE = ":4096:8"
"""See NVIDIA's cuBLAS documentation, section Results Reproducibility."""
_NO_OTHER_WAY = "deterministic implementation"
"""What torch says where an operation has none."""


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """Torch's deterministic algorithms within the block, if they are `wanted`.

    Raises `LatteError` where something has no deterministic way.
    """
    if not wanted:
        yield
        return
    import torch

    # Read when cuBLAS is first used; somebody who has set it already knows why.
    os.environ.setdefault(_WORKSPACE, _FIXED_WORKSPACE)
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    try:
        torch.use_deterministic_algorithms(True)
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    except RuntimeError as error:
        if _NO_OTHER_WAY not in str(error):
            raise
        raise LatteError(
            f"something in this recipe cannot be done deterministically: {error}",
            where="deterministic",
            hint="take `deterministic: true` out of the recipe, or the component that needs this",
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]


# `environment.json`: what a run ran on.


_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "pillow", "safetensors")


def describe_environment(recipe: Recipe, device: str) -> dict[str, Any]:
    """Versions, plugins, device and threads; no host or user name, no path, no secret."""
    import torch

    return {
        "latte": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "plugins": dict(
            sorted({one.distribution: one.version for one in _choices(recipe)}.items())
        ),
        "device": device,
        "device_name": _device_name(device),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "processes": distributed.world_size(),
        "seed": recipe.general.seed,
    }


def _choices(recipe: Recipe) -> list[Choice]:
    learners = [
        one for learner in recipe.learners for one in (learner.prototypes, learner.loss) if one
    ]
    optional = [recipe.guard] if recipe.guard else []
    texts = (*recipe.describers, *recipe.descriptions, *recipe.gates)
    return [recipe.dataset, *optional, *texts, *recipe.labels, *recipe.reporters, *learners]


def _device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
