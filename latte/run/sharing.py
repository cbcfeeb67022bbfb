"""What processes of one run need in common before the first stage: a folder, and devices apart."""

from __future__ import annotations

from latte import processes
from latte.interfaces import LatteError
from latte.run.folder import RunFolder


def share_folder(folder: RunFolder) -> None:
    """Raise `LatteError` where a process does not see the run folder of the first one."""
    if processes.count() == 1:
        return
    sign = processes.of_first(folder.sign)
    if not processes.appears(lambda: folder.shows(sign)):
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
