"""Work done ahead on a few threads, handed out in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def image_threads(*, alone: bool = False) -> int:
    """How many threads prepare images: 2 to 4, for more starve the training beside them.

    Where they are `alone` on the processor, since a GPU trains, up to 16.
    """
    return min(16 if alone else 4, max(2, os.cpu_count() or 1))


def ordered_map(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], *, threads: int, ahead: int
) -> Generator[ResultT, None, None]:
    """`function` of each item, in order, with at most `ahead` results under way or waiting.

    What `function` raises is raised where its result would have come. Closing the iterator early
    drops what has not begun and waits for what has.
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
