"""Connect the processes that `torchrun` started; if one of them fails, end all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from latte.distributed.group import barrier, entered
from latte.distributed.watchdog import Watchdog, error_to_report
from latte.interfaces import LatteError
from latte.io.environment import positive_number

PATIENCE_VARIABLE = "LATTE_PATIENCE"
_DEFAULT_PATIENCE = 600.0


@dataclass(frozen=True)
class Start:
    """Settings of one process of a run, from the environment variables that torchrun sets."""

    rank: int
    world_size: int
    patience: float
    """Seconds without a heartbeat after which another process counts as dead."""


def start_of(environment: Mapping[str, str]) -> Start | None:
    """Read torchrun's environment variables; return None for a single process.

    Raises `LatteError` if the patience is not a positive number of seconds.
    """
    rank, world_size = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and world_size.isdecimal()) or int(world_size) < 2:
        return None
    patience = positive_number(environment, PATIENCE_VARIABLE, _DEFAULT_PATIENCE, "seconds")
    return Start(int(rank), int(world_size), patience)


def local_device(device: str) -> str:
    """Return the device for the recipe's setting `device`.

    It is `device` itself, except under torchrun with GPUs: then `auto` and `cuda` become
    `cuda:LOCAL_RANK`. Raises `LatteError` if there are more processes than GPUs.
    """
    import torch

    rank = os.environ.get("LOCAL_RANK", "")
    if device not in ("auto", "cuda") or not rank.isdecimal() or not torch.cuda.is_available():
        return device
    gpus = torch.cuda.device_count()
    if int(rank) >= gpus:
        raise LatteError(
            f"torchrun started process {int(rank) + 1} on a machine with {gpus} GPU(s)",
            where="--nproc-per-node",
            hint=f"write --nproc-per-node {gpus}, or `device: cpu`",
        )
    return f"cuda:{rank}"


@contextmanager
def joined(start: Start) -> Iterator[None]:
    """Connect this process to the other processes of the run inside the `with` block.

    If one process fails, all end: the failed process raises its own error, all others raise
    `EndedElsewhere`. If a process dies, the first process that notices it raises a `LatteError`.
    """
    from torch import distributed as torch_distributed

    store = _join(start)
    with entered(start.rank, start.world_size, store):
        try:
            with Watchdog(store, start.rank, start.world_size, start.patience):
                yield
                barrier()
        except BaseException as error:
            reported_error = error_to_report(store, start.rank, error)
            if reported_error is error:
                raise
            raise reported_error from error
    torch_distributed.destroy_process_group()
    # The main process ends last, because it hosts the store unless torchrun does.
    if start.rank:
        store.add("left", 1)
    else:
        while store.add("left", 0) < start.world_size - 1:
            time.sleep(0.01)


def _join(start: Start) -> Any:
    """Initialise torch's process group, and return a key-value store for this run only.

    The store has its own connection, so that it does not wait for calls of other code.
    """
    import torch
    from torch import distributed as torch_distributed

    patience = timedelta(seconds=start.patience)
    # NCCL transfers GPU tensors, Gloo all others; each library starts with its first tensor.
    has_nccl = torch.cuda.is_available() and torch_distributed.is_nccl_available()
    environment = os.environ
    try:
        torch_distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if has_nccl else "gloo", timeout=patience
        )
        host, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
        store = torch_distributed.TCPStore(host, port, timeout=patience)  # type: ignore[attr-defined]
    except (RuntimeError, ValueError) as error:
        raise LatteError(
            f"process {start.rank + 1} of {start.world_size} does not find the others ({error})",
            hint="start all with torchrun and the same --rdzv-endpoint; on a machine with several "
            f"networks, name one with GLOO_SOCKET_IFNAME; {PATIENCE_VARIABLE} says how many "
            "seconds to wait",
        ) from error
    restart_identity = [
        environment.get(f"TORCHELASTIC_{name}", "") for name in ("RUN_ID", "RESTART_COUNT")
    ]
    prefix = "/".join(["latte", *restart_identity])
    return torch_distributed.PrefixStore(prefix, store)  # type: ignore[attr-defined]
