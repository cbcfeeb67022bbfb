"""Processes that work on one run together, as `torchrun` starts them; alone, none of this acts.

Each process computes what is small. Large work is divided: a process does every `world_size`-th
item, and the rows are gathered. Only the main process writes files and prints. Waits that may be
long use torchrun's key-value store. Tensors use torch.distributed, whose calls fail when they take
longer than `patience`. Importing this loads no torch; `latte.distributed.joining` does.
"""

from latte.distributed.environment import PATIENCE_VARIABLE, Start, local_device, start_of
from latte.distributed.group import (
    all_gather_object,
    all_gather_rows,
    all_reduce,
    any_process,
    appears,
    barrier,
    broadcast,
    broadcast_tensors,
    is_main_process,
    rank,
    share,
    world_size,
)
from latte.distributed.watchdog import EndedElsewhere

__all__ = [
    "PATIENCE_VARIABLE",
    "EndedElsewhere",
    "Start",
    "all_gather_object",
    "all_gather_rows",
    "all_reduce",
    "any_process",
    "appears",
    "barrier",
    "broadcast",
    "broadcast_tensors",
    "is_main_process",
    "local_device",
    "rank",
    "share",
    "start_of",
    "world_size",
]
