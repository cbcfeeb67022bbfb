"""Compute results ahead, on a few threads or a second CUDA stream; copy tensors without waiting."""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

BATCHES_AHEAD = 1
"""Number of batches that are prepared during a step."""


def image_threads(*, alone: bool = False) -> int:
    """Return the number of threads that prepare images: 2 to 4, because more slow down training.

    If `alone` is true, return up to 16, because then a GPU runs the training steps and the CPU only
    prepares images. The processes that torchrun started on this machine divide the cores equally.
    """
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")
    cores = (os.cpu_count() or 1) // max(1, int(processes) if processes.isdecimal() else 1)
    return min(16 if alone else 4, max(2, cores))


def ordered_map(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], *, threads: int, ahead: int
) -> Generator[ResultT, None, None]:
    """Yield `function` of each item, in order, with at most `ahead` results pending.

    If `function` raises an exception for an item, it is raised when this item's result is due.
    Closing the iterator early cancels calls that have not begun, and waits for calls that have.
    """
    pending: deque[Future[ResultT]] = deque()
    remaining = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="latte-images") as pool:
        try:
            for item in islice(remaining, ahead):
                pending.append(pool.submit(function, item))
            while pending:
                result = pending.popleft().result()
                for item in islice(remaining, 1):
                    pending.append(pool.submit(function, item))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class SideStream:
    """A second CUDA stream, which makes the next result while the current stream uses this one.

    The streams wait for each other on the device; Python never waits. Result k + 1 is launched
    before result k is used, and the device starts to make it when all work on result k - 1 is done.
    So the side stream is at most one result ahead, and the memory of a result is overwritten only
    after its last use: torch reuses the memory of a stream only for the same stream.
    `Tensor.record_stream` is not needed; with it, the memory that a run takes would depend on how
    far the GPU is behind Python.
    """

    def __init__(self, device: torch.device) -> None:
        """Create a stream on a CUDA `device`; torch keeps separate free memory for each stream."""
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def made_ahead(
        self, make: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Generator[ResultT, None, None]:
        """Yield `make` of each item, in order; callers use each result on the current stream.

        When result k is yielded, result k + 1 has been launched. If `make` or `items` raises an
        exception, this exception is raised when the result is due. Up to three results are in
        memory: result k + 1 is launched while the caller may still hold result k - 1.
        """
        current, remaining = torch.cuda.current_stream(self._device), iter(items)
        failed: Exception | None = None
        try:
            due = self._launch(make, remaining, current)
            while due is not None:
                try:
                    following = self._launch(make, remaining, current)
                except Exception as error:
                    # The traceback would keep tensors of the failed result in memory.
                    traceback.clear_frames(error.__traceback__)
                    following, failed = None, error
                result, made = due
                current.wait_event(made)
                yield result
                due = following
            if failed is not None:
                raise failed
        finally:
            # A result that nobody used may still be in work, on inputs that may be freed now.
            current.wait_stream(self._stream)

    def _launch(
        self,
        make: Callable[[ItemT], ResultT],
        remaining: Iterator[ItemT],
        current: torch.cuda.Stream,
    ) -> tuple[ResultT, torch.cuda.Event] | None:
        """Launch the next result; return it and the event of its end. None without another item."""
        for item in remaining:
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                return make(item), self._stream.record_event()
        return None


def side_stream(device: torch.device) -> SideStream | None:
    """Return a second stream of a CUDA device; None for other devices."""
    return SideStream(device) if device.type == "cuda" else None


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy `tensor` to `device`, through pinned memory to a CUDA GPU."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def all_to_device(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Copy all `tensors` of the CPU to `device` in one transfer."""
    # Larger numbers first, so that each tensor is aligned to the size of its numbers.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].element_size())
    parts = [value.contiguous().reshape(-1).view(torch.uint8) for _, value in ordered]
    copied = torch.split(to_device(torch.cat(parts), device), [len(part) for part in parts])
    return {
        name: part.view(value.dtype).view(value.shape)
        for (name, value), part in zip(ordered, copied, strict=True)
    }
