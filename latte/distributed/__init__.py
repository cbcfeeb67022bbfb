"""Processes that work on one run together, as `torchrun` starts them; alone, none of this acts.

Values that are equal in all processes are worked out by each. What is large is shared: a process
does every `count`-th item, and rows are gathered. Only the first process writes and speaks. Waits
that may be long go through the key-value store that torchrun keeps; tensors go through
torch.distributed, whose calls fail when they take longer than `patience`. Importing this loads no
torch; `latte.distributed.joining` does.
"""

from latte.distributed.environment import PATIENCE_VARIABLE, Start, local_device, start_of
from latte.distributed.group import (
    any_of_all,
    appears,
    count,
    gather_rows,
    gather_values,
    is_first,
    of_first,
    rank,
    share,
    sum_over_all,
    tensors_of_first,
    wait_for_all,
)
from latte.distributed.watchdog import EndedElsewhere

__all__ = [
    "PATIENCE_VARIABLE",
    "EndedElsewhere",
    "Start",
    "any_of_all",
    "appears",
    "count",
    "gather_rows",
    "gather_values",
    "is_first",
    "local_device",
    "of_first",
    "rank",
    "share",
    "start_of",
    "sum_over_all",
    "tensors_of_first",
    "wait_for_all",
]
