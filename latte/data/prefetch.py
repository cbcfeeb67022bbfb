"""Compute results ahead on a few threads; copy tensors to a device without waiting."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

BATCHES_AHEAD = 1


def image_threads(*, alone: bool = False) -> int:
    """Return the number of threads that prepare images: 2 to 4, as more would slow down training.

    If `alone` is true, return up to 16, because a GPU runs the training steps. Processes that
    torchrun started on this machine divide the cores equally.
    """
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")
    cores = (os.cpu_count() or 1) // max(1, int(processes) if processes.isdecimal() else 1)
    return min(16 if alone else 4, max(2, cores))


def ordered_map(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], *, threads: int, ahead: int
) -> Generator[ResultT, None, None]:
    """Yield `function` of each item, in order, with at most `ahead` results pending.

    An exception of `function` is raised when its result is due. Closing the iterator cancels calls
    that have not begun, and waits for the others.
    """
    pending_results: deque[Future[ResultT]] = deque()
    remaining_items = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="latte-images") as executor:
        try:
            for item in islice(remaining_items, ahead):
                pending_results.append(executor.submit(function, item))
            while pending_results:
                result = pending_results.popleft().result()
                for item in islice(remaining_items, 1):
                    pending_results.append(executor.submit(function, item))
                yield result
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy `tensor` to `device`; a copy to a CUDA GPU uses pinned memory."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
