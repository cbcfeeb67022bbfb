"""Several processes that work on one run together, started by `torchrun`.

Each process does every `world_size`-th item of a large task; then results are gathered. Only the
main process writes files and prints. Barriers wait without a time limit, in torchrun's key-value
store; an exchange of tensors fails after `LATTE_PATIENCE` seconds. Importing this package does not
import torch.
"""

from latte.distributed.group import (
    all_gather_object,
    all_gather_rows,
    all_reduce,
    any_process,
    barrier,
    broadcast,
    broadcast_tensors,
    is_main_process,
    rank,
    share,
    wait_until,
    world_size,
)
from latte.distributed.joining import PATIENCE_VARIABLE, Start, local_device, start_of
from latte.distributed.watchdog import EndedElsewhere

__all__ = [
    "PATIENCE_VARIABLE",
    "EndedElsewhere",
    "Start",
    "all_gather_object",
    "all_gather_rows",
    "all_reduce",
    "any_process",
    "barrier",
    "broadcast",
    "broadcast_tensors",
    "is_main_process",
    "local_device",
    "rank",
    "share",
    "start_of",
    "wait_until",
    "world_size",
]
