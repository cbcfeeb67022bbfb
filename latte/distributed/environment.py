"""What `torchrun` tells a process about itself, through the environment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from latte.interfaces import LatteError

PATIENCE_VARIABLE = "LATTE_PATIENCE"
_DEFAULT_PATIENCE = 600.0


@dataclass(frozen=True)
class Start:
    """Number `rank` (from 0) of `count` processes."""

    rank: int
    count: int
    patience: float
    """Seconds without a sign of another process, after which it is taken for dead."""


def start_of(environment: Mapping[str, str]) -> Start | None:
    """What torchrun told a process; None for one that works alone. Raises `LatteError`."""
    rank, count = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and count.isdecimal()) or int(count) < 2:
        return None
    return Start(int(rank), int(count), _patience(environment))


def local_device(wanted: str) -> str:
    """The device of this process, where a recipe says `auto` or `cuda` and torchrun started it.

    That is the GPU with this process's number on its machine, or the CPU of a machine without any.
    Raises `LatteError` for more processes than GPUs.
    """
    import torch

    rank = os.environ.get("LOCAL_RANK", "")
    if wanted not in ("auto", "cuda") or not rank.isdecimal() or not torch.cuda.is_available():
        return wanted
    gpus = torch.cuda.device_count()
    if int(rank) >= gpus:
        raise LatteError(
            f"torchrun started process {int(rank) + 1} on a machine with {gpus} GPU(s)",
            where="--nproc-per-node",
            hint=f"write --nproc-per-node {gpus}, or `device: cpu`",
        )
    return f"cuda:{rank}"


def _patience(environment: Mapping[str, str]) -> float:
    written = environment.get(PATIENCE_VARIABLE, str(_DEFAULT_PATIENCE))
    try:
        seconds = float(written)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise LatteError(
            f"{PATIENCE_VARIABLE} is {written!r}, not a number of seconds",
            hint=f"export {PATIENCE_VARIABLE}={_DEFAULT_PATIENCE:g}",
        )
    return seconds
