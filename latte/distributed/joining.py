"""Processes find each other at the start of a run, and leave each other at its end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed as torch_distributed

from latte.distributed.environment import PATIENCE_VARIABLE, Start
from latte.distributed.group import barrier, entered
from latte.distributed.watchdog import Watch, told
from latte.interfaces import LatteError


@contextmanager
def joined(start: Start) -> Iterator[None]:
    """Work together with the other processes within the block, and end together.

    Where one fails, it raises what happened, and all others raise `EndedElsewhere`. Where one dies,
    the first to notice raises a `LatteError`.
    """
    store = _find_others(start)
    with entered(start.rank, start.count, store):
        try:
            with Watch(store, start.rank, start.count, start.patience):
                yield
                barrier()
        except BaseException as error:
            told_error = told(store, start.rank, error)
            if told_error is error:
                raise
            raise told_error from error
    torch_distributed.destroy_process_group()
    _leave(start, store)


def _find_others(start: Start) -> Any:
    """Make the process group, and a store beside it."""
    patience = timedelta(seconds=start.patience)
    # NCCL takes what lies on a GPU, Gloo the rest; each begins with the first tensor of its own.
    has_nccl = torch.cuda.is_available() and torch_distributed.is_nccl_available()
    try:
        torch_distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if has_nccl else "gloo", timeout=patience
        )
        return _own_store(patience)
    except (RuntimeError, ValueError) as error:
        raise LatteError(
            f"process {start.rank + 1} of {start.count} does not find the others ({error})",
            hint="start all with torchrun and the same --rdzv-endpoint; on a machine with several "
            f"networks, name one with GLOO_SOCKET_IFNAME; {PATIENCE_VARIABLE} says how many "
            "seconds to wait",
        ) from error


def _leave(start: Start, store: Any) -> None:
    """The first process leaves last: where torchrun does not keep the store, the first does."""
    if start.rank:
        store.add("left", 1)
    else:
        while store.add("left", 0) < start.count - 1:
            time.sleep(0.01)


def _own_store(patience: timedelta) -> Any:
    """A connection of its own to the store that torchrun keeps: its calls wait for no others."""
    environment = os.environ
    host, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
    store = torch_distributed.TCPStore(host, port, timeout=patience)  # type: ignore[attr-defined]
    started = [environment.get(f"TORCHELASTIC_{name}", "") for name in ("RUN_ID", "RESTART_COUNT")]
    prefix = "/".join(["latte", *started])
    return torch_distributed.PrefixStore(prefix, store)  # type: ignore[attr-defined]
