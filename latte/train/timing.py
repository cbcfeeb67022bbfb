"""Time and FLOPs of the parts of training, measured only inside a `measuring` block.

Measuring draws no random numbers and changes no computation, so results are bit-identical.
"""

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

ItemT = TypeVar("ItemT")
Shape = Sequence[int]

WAITING = "waiting for images"
IMAGES = "image tower"
TEXTS = "texts"
LABELS = "labels and the rest"
PROTOTYPES = "prototypes"
LOSS = "loss"
BACKWARD = "backward"
OPTIMISER = "optimiser"
PARTS = (WAITING, IMAGES, TEXTS, LABELS, PROTOTYPES, LOSS, BACKWARD, OPTIMISER)
EPOCH_STARTS, EVALUATION, CHECKPOINTS = "start of epochs", "evaluation", "checkpoints"
REST = "rest"

_COUNTED_STEP, _TRACED_STEPS = 1, (2, 3)


@dataclass
class StepTimes:
    """Sums of times over several training steps."""

    steps: int = 0
    images: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds by part of a step; the time of a part does not include other parts inside it."""
    cpu_seconds: float = 0.0
    """CPU time in seconds, summed over all threads of the process."""


class Stopwatch:
    """Measures the time of each part of training, such as the loss.

    FLOPs are counted in the first step. If `trace` is given, the second and third step are traced
    to this file. Counting and tracing slow steps down, so times of these steps are added to
    `looked_into`, and times of all other steps to `measured`.
    """

    def __init__(self, device: str, trace: Path | None = None) -> None:
        self.measured: StepTimes = StepTimes()
        self.looked_into: StepTimes = StepTimes()
        self.flops: dict[str, int] = defaultdict(int)
        self.beside: dict[str, float] = defaultdict(float)
        """Seconds of the parts of training outside steps, such as evaluations, by part."""
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
        """Number of steps so far."""
        return self.measured.steps + self.looked_into.steps

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the `with` block to the part named `name`."""
        outer_part = self._open
        self._charge()
        self._open = name
        try:
            yield
        finally:
            self._charge()
            self._open = outer_part

    @contextmanager
    def step(self, images: int) -> Iterator[None]:
        """Measure a training step on `images` images; `LABELS` gets time outside other parts."""
        number = self.steps + 1
        with self.part(LABELS), ExitStack() as stack:
            if number == _COUNTED_STEP:
                self._counter = stack.enter_context(count_flops())
            if self._trace is not None and number == _TRACED_STEPS[0]:
                self._start_trace()
            yield
            self._charge()
            self._counter, self._counted = None, 0
            if number == _TRACED_STEPS[-1]:
                self.close()
        is_inspected = number == _COUNTED_STEP or (self._trace and number in _TRACED_STEPS)
        times = self.looked_into if is_inspected else self.measured
        times.cpu_seconds += self._pending_cpu
        times.steps += 1
        times.images += images
        for part, seconds in self._pending.items():
            times.seconds[part] += seconds
        self._pending, self._pending_cpu = defaultdict(float), 0.0

    def close(self) -> None:
        """Add the elapsed time to the current part; end and write the trace, if there is one."""
        profiler, self._profiler = self._profiler, None
        if profiler is not None and self._trace is not None:
            profiler.stop()
            self._trace.parent.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(self._trace))
        self._charge()

    def _start_trace(self) -> None:
        # Without this, the profiler's library prints a greeting to stderr.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if self._device.startswith("cuda"):
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        self._profiler = torch.profiler.profile(activities=kinds)
        self._profiler.start()

    def _charge(self) -> None:
        wait_for(self._device)
        now, cpu_now = time.perf_counter(), time.process_time()
        (self._pending if self._open in PARTS else self.beside)[self._open] += now - self._mark
        self._pending_cpu += cpu_now - self._cpu_mark if self._open in PARTS else 0.0
        self._mark, self._cpu_mark = now, cpu_now
        if self._counter is not None:
            total = self._counter.get_total_flops()
            self.flops[self._open] += total - self._counted
            self._counted = total


_running: Stopwatch | None = None
_OFF = nullcontext()


@contextmanager
def measuring(watch: Stopwatch) -> Iterator[None]:
    """Make `watch` measure all parts of training, also outside steps, inside the `with` block."""
    global _running
    previous_watch, _running = _running, watch
    try:
        yield
    finally:
        _running = previous_watch
        watch.close()


def timed(part: str) -> AbstractContextManager[None]:
    """Return a context manager that adds the time of its block to the part named `part`."""
    return _OFF if _running is None else _running.part(part)


def timed_step(images: int) -> AbstractContextManager[None]:
    """Return a context manager that measures a training step on `images` images."""
    return _OFF if _running is None else _running.step(images)


def timed_items(part: str, items: Iterable[ItemT]) -> Iterator[ItemT]:
    """Yield `items`; the time of waiting for each item is added to the part named `part`."""
    iterator = iter(items)
    while True:
        with timed(part):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def wait_for(device: str) -> None:
    """Wait until a GPU has finished its work; return at once on other devices."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def count_flops() -> FlopCounterMode:
    """Return a context manager that counts FLOPs of matrix products, convolutions, attention."""
    operation: Any = torch.ops.aten.convolution_backward
    return FlopCounterMode(display=False, custom_mapping={operation: _convolution_backward})


def _convolution_backward(
    gradient: Shape, input_shape: Shape, weight: Shape, *arguments: Any, **ignored: Any
) -> int:
    """Return the FLOPs of a convolution's backward pass.

    Torch's own formula counts a grouped convolution as a dense convolution.
    """
    # Bias, stride, padding, dilation, transposed, output padding, groups, output mask.
    transposed: bool = arguments[4]
    output_mask: Sequence[bool] = arguments[7]
    places = (input_shape if transposed else gradient)[2:]
    forward = 2 * input_shape[0] * prod(places) * prod(weight)
    return forward * sum(output_mask[:2])
