"""A second CUDA stream, which makes views while the current stream runs a training step."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

import torch

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class SideStream:
    """A second CUDA stream, which makes the next result while the current stream uses this one.

    The streams wait for each other on the device; Python never waits. The side stream is at most
    one result ahead. It waits for the current stream before it makes a result, so it never
    overwrites memory that is still in use. `Tensor.record_stream` is not used, because the memory
    of a run would then depend on how far the GPU is behind Python.
    """

    def __init__(self, device: torch.device) -> None:
        """Create a stream on a CUDA `device`; torch keeps separate free memory for each stream."""
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def made_ahead(
        self, make: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Generator[ResultT, None, None]:
        """Yield `make` of each item, in order; callers use each result on the current stream.

        An exception of `make` or `items` is raised when the result is due. Up to three results are
        in memory: result k + 1 is launched while the caller may still hold result k - 1.
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
        """Start the next result; return it and the CUDA event of its end. None after the last."""
        for item in remaining:
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                return make(item), self._stream.record_event()
        return None


def side_stream(device: torch.device) -> SideStream | None:
    """Return a second stream of a CUDA device; None for other devices."""
    return SideStream(device) if device.type == "cuda" else None
