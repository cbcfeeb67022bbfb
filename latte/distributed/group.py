"""Functions for several processes of one run: ranks, barriers, exchange of values and tensors.

Names are as in torch.distributed. If the run has only one process, no function waits for others,
and an exchange returns the value of this process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, overload

from latte.distributed.watchdog import PeerLost

if TYPE_CHECKING:
    from torch import Tensor

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")

_POLL_SECONDS = 0.02
_FILE_POLL_SECONDS = 0.2
_FILE_TIMEOUT_SECONDS = 90.0
"""Longest wait for a file, longer than network file systems cache folders."""
_BUCKET_NUMBERS = 2**24
"""Largest number of entries that one call sums (64 MiB in fp32); a larger tensor gets one call."""


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run: rank of this process, number of processes, key-value store."""

    rank: int
    world_size: int
    store: Any
    """A `torch.distributed.Store` whose keys belong to this run only."""
    waits: Iterator[int]
    """Numbers barriers and broadcasts, which all processes call in the same order."""


_group: ProcessGroup | None = None


@contextmanager
def entered(rank: int, world_size: int, store: Any) -> Iterator[None]:
    """Make the functions of this module use a group of processes inside the `with` block."""
    global _group
    _group = ProcessGroup(rank, world_size, store, count())
    try:
        yield
    finally:
        _group = None


def rank() -> int:
    """Return the rank of this process; the main process has rank 0."""
    return 0 if _group is None else _group.rank


def world_size() -> int:
    """Return the number of processes of this run; 1 if torchrun did not start it."""
    return 1 if _group is None else _group.world_size


def is_main_process() -> bool:
    """Return True in the main process (rank 0), the only one that writes files and prints."""
    return rank() == 0


@overload
def share(items: Tensor) -> Tensor: ...
@overload
def share(items: range) -> range: ...
@overload
def share(items: Sequence[ItemT]) -> Sequence[ItemT]: ...
def share(items: Any) -> Any:
    """Return this process's share of `items`: indices `rank`, `rank + world_size` and so on."""
    return items if _group is None else items[_group.rank :: _group.world_size]


def barrier() -> None:
    """Wait, without a time limit, until every process has reached this call."""
    if _group is None:
        return
    key = f"here/{next(_group.waits)}"
    with _peer_lost_on_error():
        _group.store.add(key, 1)
        while _group.store.add(key, 0) < _group.world_size:
            time.sleep(_POLL_SECONDS)


def broadcast(work: Callable[[], ValueT]) -> ValueT:
    """Call `work` in the main process only; return its result (JSON data) in every process."""
    if _group is None:
        return work()
    key = f"value/{next(_group.waits)}"
    value = work() if _group.rank == 0 else None
    with _peer_lost_on_error():
        if _group.rank == 0:
            _group.store.set(key, json.dumps(value))
        while not _group.store.check([key]):
            time.sleep(_POLL_SECONDS)
        broadcast_value: ValueT = json.loads(_group.store.get(key))
    return broadcast_value


def all_gather_rows(process_rows: Tensor, total: int) -> Tensor:
    """Gather one row per item from all processes; return all rows (total, ...), in item order.

    `process_rows` has one row for each item that `share` gave to this process. The result has no
    gradient, and is on the device of `process_rows`.
    """
    if _group is None or total == 0:
        return process_rows
    import torch

    padded_rows = process_rows.new_zeros(-(-total // _group.world_size), *process_rows.shape[1:])
    padded_rows[: len(process_rows)] = process_rows.detach()
    rows_by_rank = [torch.empty_like(padded_rows) for _ in range(_group.world_size)]
    with _peer_lost_on_error():
        torch.distributed.all_gather(rows_by_rank, padded_rows)
    return torch.stack(rows_by_rank, dim=1).flatten(0, 1)[:total]


def all_gather_object(process_value: ValueT) -> list[ValueT]:
    """Return the JSON values of all processes, by rank; `process_value` is this process's."""
    if _group is None:
        return [process_value]
    import torch

    encoded_value = torch.frombuffer(
        bytearray(json.dumps(process_value), "utf-8"), dtype=torch.uint8
    )
    sizes = all_gather_rows(torch.tensor([len(encoded_value)]), _group.world_size).tolist()
    padded_bytes = encoded_value.new_zeros(1, max(sizes))
    padded_bytes[0, : len(encoded_value)] = encoded_value
    rows = all_gather_rows(padded_bytes, _group.world_size)
    return [json.loads(row[:size].numpy().tobytes()) for row, size in zip(rows, sizes, strict=True)]


def broadcast_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the main process's tensors in every process.

    `tensors` must have the same names, shapes and dtypes in all processes.
    """
    if _group is None:
        return dict(tensors)
    import torch

    main_tensors = {}
    for name in sorted(tensors):
        main_tensors[name] = tensors[name].detach().clone(memory_format=torch.contiguous_format)
        if main_tensors[name].numel():
            with _peer_lost_on_error():
                torch.distributed.broadcast(main_tensors[name].reshape(-1).view(torch.uint8), src=0)
    return main_tensors


def all_reduce(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the sum of each tensor over all processes; it is bit-identical in every process."""
    if _group is None:
        return list(tensors)
    import torch

    sums: list[Tensor] = []
    for bucket in _buckets(tensors):
        flat_bucket = torch.cat([tensor.reshape(-1) for tensor in bucket])
        with _peer_lost_on_error():
            torch.distributed.all_reduce(flat_bucket)
        flat_sums = torch.split(flat_bucket, [tensor.numel() for tensor in bucket])
        sums += [
            flat_sum.view(tensor.shape) for flat_sum, tensor in zip(flat_sums, bucket, strict=True)
        ]
    return sums


def any_process(flags: Sequence[bool]) -> list[bool]:
    """Return one bool per flag: True if the flag is set in at least one process."""
    if _group is None or not flags:
        return list(flags)
    import torch

    flag_tensor = torch.tensor(flags, dtype=torch.uint8)
    with _peer_lost_on_error():
        torch.distributed.all_reduce(flag_tensor, torch.distributed.ReduceOp.MAX)
    return [bool(flag) for flag in flag_tensor.tolist()]


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        size = sum(bucket_tensor.numel() for bucket_tensor in bucket) + tensor.numel()
        if bucket and (size > _BUCKET_NUMBERS or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


@contextmanager
def _peer_lost_on_error() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(str(error)) from error


def wait_until(condition: Callable[[], bool]) -> bool:
    """Wait at most 90 seconds until `condition` is true; return whether it is."""
    deadline = time.monotonic() + _FILE_TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_FILE_POLL_SECONDS)
    return True
