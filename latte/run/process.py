"""Set up the process of a run: environment, shared folder, device, memory, determinism."""

from __future__ import annotations

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
from latte.recipe.model import Recipe
from latte.results.folder import RunFolder
from latte.version import __version__

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "pillow", "safetensors")

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""Value that resets the peak memory (resident set size) of this process; see proc(5)."""
_MEGABYTE = 2**20

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_FIXED_WORKSPACE = ":4096:8"
"""Value that makes cuBLAS deterministic; see Results Reproducibility in NVIDIA's manual."""
_NO_OTHER_WAY = "deterministic implementation"
"""Part of torch's message about an operation that has no deterministic implementation."""


def describe_environment(recipe: Recipe, device: str) -> dict[str, Any]:
    """Return the environment of a run, without host and user names, paths and secrets."""
    import torch

    return {
        "latte": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "plugins": dict(
            sorted({choice.distribution: choice.version for choice in recipe.choices}.items())
        ),
        "device": device,
        "device_name": str(torch.cuda.get_device_name(device))
        if device.startswith("cuda")
        else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "processes": distributed.world_size(),
        "seed": recipe.seed,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def share_folder(folder: RunFolder) -> None:
    """Raise `LatteError` if this process cannot read the run folder of the main process."""
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
    """Make `device` the default GPU of this process, as NCCL requires with several processes.

    Raises `LatteError` if several processes cannot use `device` together.
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


def start_measuring(device: str) -> None:
    """Reset the peak that `peak_memory_mb` returns, if the system allows it."""
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(device: str) -> float | None:
    """Return the peak memory in MiB since `start_measuring`: of the GPU, or else of this process.

    If the process keeps freed memory, the peak includes memory of earlier runs in this process.
    Returns None if the system does not report the peak.
    """
    if device.startswith("cuda"):
        import torch

        return round(torch.cuda.max_memory_allocated(device) / _MEGABYTE, 1)
    try:
        match = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return round(int(match[1]) / 1024, 1) if match else None


@contextmanager
def deterministic(enabled: bool) -> Iterator[None]:
    """Use torch's deterministic algorithms inside the `with` block if `enabled` is true.

    They are needed only on GPUs; CPU runs are already bit-identical. Raises `LatteError` if an
    operation has no deterministic implementation.
    """
    if not enabled:
        yield
        return
    import torch

    # cuBLAS reads this at its first use; a value that the user has set is kept.
    os.environ.setdefault(_WORKSPACE, _FIXED_WORKSPACE)
    cudnn = torch.backends.cudnn
    earlier_settings = (
        torch.are_deterministic_algorithms_enabled(),
        cudnn.deterministic,
        cudnn.benchmark,
    )
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
        torch.use_deterministic_algorithms(earlier_settings[0])
        cudnn.deterministic, cudnn.benchmark = earlier_settings[1:]
