"""Counts floating-point operations in products, convolutions, attention and their gradients."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def counting_operations() -> FlopCounterMode:
    """Inside of it every operation is counted; `get_total_flops()` tells how many there were."""
    aten: Any = torch.ops.aten
    return FlopCounterMode(
        display=False, custom_mapping={aten.convolution_backward: _convolution_backward}
    )


def _convolution_backward(
    gradient: Shape,
    given: Shape,
    weight: Shape,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    wanted: Sequence[bool],
    **ignored: Any,
) -> int:
    """The gradients of input and weights take as much as the way forward, each.

    Torch's own formula takes a grouped convolution for a dense one.
    """
    places = (given if transposed else gradient)[2:]
    forward = 2 * given[0] * prod(places) * prod(weight)
    return forward * sum(wanted[:2])


# Where the time of a training goes: its parts are timed while somebody measures, else not at all.
#
# The engine says where a part begins and ends (`timed`, `timed_items`, `timed_step`). Nothing is
# drawn and nothing computed here, so that a run that is measured gives the bits of one that is
# not.


ItemT = TypeVar("ItemT")

WAITING = "waiting for images"
IMAGES = "image tower"
TEXTS = "texts"
LABELS = "labels, prototypes, loss"
BACKWARD = "backward"
OPTIMISER = "optimiser"
PARTS = (WAITING, IMAGES, TEXTS, LABELS, BACKWARD, OPTIMISER)
"""Of a training step."""
ROUNDS, EVALUATION, CHECKPOINTS = "start of epochs", "evaluation", "checkpoints"
FITTING, REST = "finding what fits", "rest"

_COUNTED_STEP, _TRACED_STEPS = 1, (2, 3)


@dataclass
class StepTimes:
    """Sums over some steps."""

    steps: int = 0
    images: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By part, waiting included; a part inside another counts for itself alone."""
    cpu_seconds: float = 0.0
    """Of all threads of the process."""

    def add(self, images: int, seconds: dict[str, float], cpu_seconds: float) -> None:
        """One more step."""
        self.cpu_seconds += cpu_seconds
        self.steps += 1
        self.images += images
        for part, value in seconds.items():
            self.seconds[part] += value


class Stopwatch:
    """What one training told.

    Operations are counted in the first step, the second and third are written to `trace`; both
    take longer than others and are kept apart from those that are `measured`.
    """

    def __init__(self, device: str, trace: Path | None = None) -> None:
        self.measured = StepTimes()
        self.looked_into = StepTimes()
        self.operations: dict[str, int] = defaultdict(int)
        """Floating-point operations of the first step in products, convolutions, attention."""
        self.beside: dict[str, float] = defaultdict(float)
        """Seconds of what is done beside steps."""
        self._device = device
        self._trace = trace
        self._pending: dict[str, float] = defaultdict(float)
        self._open = REST
        self._pending_cpu = 0.0
        self._mark, self._cpu_mark = time.perf_counter(), time.process_time()
        self._counter: FlopCounterMode | None = None
        self._counted = 0
        self._profiler: Any = None

    @property
    def steps(self) -> int:
        """How many were taken."""
        return self.measured.steps + self.looked_into.steps

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Until the end of this, time is spent on `name`."""
        outer = self._open
        self._charge()
        self._open = name
        try:
            yield
        finally:
            self._charge()
            self._open = outer

    @contextmanager
    def step(self, images: int) -> Iterator[None]:
        """One training step; what it does outside of other parts is about labels and loss."""
        number = self.steps + 1
        with self.part(LABELS), ExitStack() as stack:
            if number == _COUNTED_STEP:
                self._counter = stack.enter_context(counting_operations())
            if self._trace is not None and number == _TRACED_STEPS[0]:
                self._start_trace()
            yield
            self._charge()
            self._counter, self._counted = None, 0
            if number == _TRACED_STEPS[-1]:
                self.close()
        looked_into = number == _COUNTED_STEP or (self._trace and number in _TRACED_STEPS)
        times = self.looked_into if looked_into else self.measured
        times.add(images, self._pending, self._pending_cpu)
        self._pending, self._pending_cpu = defaultdict(float), 0.0

    def close(self) -> None:
        """Write the trace, if one is under way, and charge what is left."""
        profiler, self._profiler = self._profiler, None
        if profiler is not None and self._trace is not None:
            profiler.stop()
            self._trace.parent.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(self._trace))
        self._charge()

    def _start_trace(self) -> None:
        # The profiler's library announces itself on stderr otherwise.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if self._device.startswith("cuda"):
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        self._profiler = torch.profiler.profile(activities=kinds)
        self._profiler.start()

    def _charge(self) -> None:
        """What has passed since the last time belongs to the part that is open."""
        wait_for(self._device)
        now, cpu_now = time.perf_counter(), time.process_time()
        (self._pending if self._open in PARTS else self.beside)[self._open] += now - self._mark
        self._pending_cpu += cpu_now - self._cpu_mark if self._open in PARTS else 0.0
        self._mark, self._cpu_mark = now, cpu_now
        if self._counter is not None:
            total = self._counter.get_total_flops()
            self.operations[self._open] += total - self._counted
            self._counted = total


_running: Stopwatch | None = None
_OFF = nullcontext()


@contextmanager
def measuring(watch: Stopwatch) -> Iterator[None]:
    """Let `watch` hear of every part until the end of this."""
    global _running
    before, _running = _running, watch
    try:
        yield
    finally:
        _running = before
        watch.close()


def timed(part: str) -> AbstractContextManager[None]:
    """Around what belongs to `part`."""
    return _OFF if _running is None else _running.part(part)


def timed_step(images: int) -> AbstractContextManager[None]:
    """Around a training step on so many images."""
    return _OFF if _running is None else _running.step(images)


def timed_items(part: str, items: Iterable[ItemT]) -> Iterator[ItemT]:
    """`items`, where waiting for the next one belongs to `part`."""
    iterator = iter(items)
    while True:
        with timed(part):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def wait_for(device: str) -> None:
    """Until a GPU has done what it was given; elsewhere it has been done already."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
