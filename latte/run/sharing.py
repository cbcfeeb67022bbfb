"""What processes of one run need in common before the first stage: a folder, and devices apart."""

from __future__ import annotations

import time

from latte import processes
from latte.interfaces import LatteError
from latte.run.folder import RunFolder

_APPEARS_WITHIN = 90.0
"""Seconds: network file systems take their time to look again."""


def share_folder(folder: RunFolder) -> None:
    """Raise `LatteError` where a process does not see the run folder of the first one."""
    if processes.count() == 1:
        return
    sign = processes.of_first(folder.sign)
    deadline = time.monotonic() + _APPEARS_WITHIN
    while not folder.shows(sign):
        if time.monotonic() > deadline:
            raise LatteError(
                "this process does not see the run folder of the first one",
                where=str(folder.path),
                hint="all machines of a run must share the folder `output`, and LATTE_CACHE",
            )
        time.sleep(0.2)


def take_device(device: str) -> None:
    """Make a GPU this process's own, as NCCL wants it, where there are several processes.

    Raises `LatteError` for a device that several processes cannot work on together.
    """
    kind = device.partition(":")[0]
    if processes.count() == 1 or kind == "cpu":
        return
    if kind != "cuda" or device != processes.local_device("cuda"):
        raise LatteError(
            f"{processes.count()} processes cannot work on `{device}` together",
            where="device",
            hint="write `device: auto`: each process takes a GPU of its own; or `device: cpu`",
        )
    import torch

    torch.cuda.set_device(device)
