"""What another machine has written appears here after a while, or never."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count as numbers
from typing import TYPE_CHECKING, Any, TypeVar, overload

from latte.distributed.watchdog import Lost

if TYPE_CHECKING:
    from torch import Tensor

_SECONDS = 90.0
"""Network file systems take their time to look again."""
_POLL_SECONDS = 0.2


def appears(is_there: Callable[[], bool]) -> bool:
    """Whether `is_there` comes true within a time that network file systems keep to."""
    deadline = time.monotonic() + _SECONDS
    while not is_there():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


# The processes of this run: who is who, waiting for each other, and exchanging tensors.


ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")

_LOOK_AGAIN_SECONDS = 0.02
_BUCKET_NUMBERS = 2**24
"""Numbers that are summed in one call: 64 MiB of fp32."""


@dataclass(frozen=True)
class Group:
    """Several processes that have found each other."""

    rank: int
    world_size: int
    store: Any
    """A `torch.distributed.Store` of this run's own keys."""
    waits: Iterator[int]
    """Numbers the waits, which all processes come to in the same order."""


_group: Group | None = None


@contextmanager
def entered(rank: int, world_size: int, store: Any) -> Iterator[None]:
    """The functions below speak of this group within the block."""
    global _group
    _group = Group(rank, world_size, store, numbers())
    try:
        yield
    finally:
        _group = None


def rank() -> int:
    """The number of this process, from 0."""
    return 0 if _group is None else _group.rank


def world_size() -> int:
    """How many processes work together; 1 alone."""
    return 1 if _group is None else _group.world_size


def is_main_process() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


@overload
def share(items: Tensor) -> Tensor: ...
@overload
def share(items: range) -> range: ...
@overload
def share(items: Sequence[ItemT]) -> Sequence[ItemT]: ...
def share(items: Any) -> Any:
    """Every `world_size`-th of `items`, from number `rank` on: this process's share of them."""
    return items if _group is None else items[_group.rank :: _group.world_size]


def barrier() -> None:
    """Return when every process has come here, however long that takes."""
    if _group is None:
        return
    key = f"here/{next(_group.waits)}"
    with _lost_if_it_fails():
        _group.store.add(key, 1)
        while _group.store.add(key, 0) < _group.world_size:
            time.sleep(_LOOK_AGAIN_SECONDS)


def broadcast(work: Callable[[], ValueT]) -> ValueT:
    """What `work` gives in the first process, which alone calls it: something small, plain JSON."""
    if _group is None:
        return work()
    key = f"value/{next(_group.waits)}"
    value = work() if _group.rank == 0 else None
    with _lost_if_it_fails():
        if _group.rank == 0:
            _group.store.set(key, json.dumps(value))
        while not _group.store.check([key]):
            time.sleep(_LOOK_AGAIN_SECONDS)
        found: ValueT = json.loads(_group.store.get(key))
    return found


def all_gather_rows(own: Tensor, total: int) -> Tensor:
    """Rows that belong to this process's `share` of `total` items -> the rows (total, ...) of all.

    They come without gradient, on the device of `own`.
    """
    if _group is None or total == 0:
        return own
    import torch

    padded = own.new_zeros(-(-total // _group.world_size), *own.shape[1:])
    padded[: len(own)] = own.detach()
    parts = [torch.empty_like(padded) for _ in range(_group.world_size)]
    with _lost_if_it_fails():
        torch.distributed.all_gather(parts, padded)
    return torch.stack(parts, dim=1).flatten(0, 1)[:total]


def all_gather_object(own: ValueT) -> list[ValueT]:
    """What each process gives, plain JSON of any size, in the order of their numbers."""
    if _group is None:
        return [own]
    import torch

    data = torch.frombuffer(bytearray(json.dumps(own), "utf-8"), dtype=torch.uint8)
    sizes = all_gather_rows(torch.tensor([len(data)]), _group.world_size).tolist()
    padded = data.new_zeros(1, max(sizes))
    padded[0, : len(data)] = data
    rows = all_gather_rows(padded, _group.world_size)
    return [json.loads(row[:size].numpy().tobytes()) for row, size in zip(rows, sizes, strict=True)]


def broadcast_tensors(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The first process's tensors; all have the same names, shapes and dtypes."""
    if _group is None:
        return dict(own)
    return {name: _of_first_process(own[name]) for name in sorted(own)}


def all_reduce(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The sum over all processes of each tensor, all alike on every process; few large calls."""
    if _group is None:
        return list(tensors)
    return [total for bucket in _buckets(tensors) for total in _sum_bucket(bucket)]


def any_process(flags: Sequence[bool]) -> list[bool]:
    """For each flag, whether it is set in any process."""
    if _group is None or not flags:
        return list(flags)
    import torch

    found = torch.tensor(flags, dtype=torch.uint8)
    with _lost_if_it_fails():
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return [bool(flag) for flag in found.tolist()]


def _of_first_process(own: Tensor) -> Tensor:
    import torch

    found = own.detach().clone(memory_format=torch.contiguous_format)
    if not found.numel():
        return found
    with _lost_if_it_fails():
        torch.distributed.broadcast(found.reshape(-1).view(torch.uint8), src=0)
    return found


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """`tensors` in their order, of one dtype each, up to a size."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        size = sum(one.numel() for one in bucket) + tensor.numel()
        if bucket and (size > _BUCKET_NUMBERS or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


def _sum_bucket(bucket: Sequence[Tensor]) -> Iterator[Tensor]:
    import torch

    flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
    with _lost_if_it_fails():
        torch.distributed.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in bucket])
    return (part.view(tensor.shape) for part, tensor in zip(parts, bucket, strict=True))


@contextmanager
def _lost_if_it_fails() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Lost(str(error)) from error
