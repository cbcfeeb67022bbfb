"""Work in several threads, with results that do not depend on the number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def parallel_map(function: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> Iterator[ResultT]:
    """Yield `function` of each item, in order, computed in as many threads as torch uses.

    Each thread calls `function` for one item at a time and does not divide torch's operations, so
    results are bit-identical for every number of threads. This is also faster than the threads of
    torch if operations are small. Gradients are not computed. If `function` raises an error, or if
    the iterator is closed, calls that have not begun are cancelled.

    Example:
        >>> import torch
        >>> from latte.api import parallel_map
        >>> blocks = torch.arange(6.0).split(2)
        >>> [float(total) for total in parallel_map(torch.sum, blocks)]
        [1.0, 5.0, 9.0]
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, "latte-torch", _start_thread) as executor:
            yield from executor.map(function, items)
    finally:
        # The number that a thread sets is also that of all threads that start later.
        torch.set_num_threads(threads)


def _start_thread() -> None:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
