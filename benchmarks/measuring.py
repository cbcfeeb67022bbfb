"""Shared pieces of measurements: timed sides, matmul throughput, printed lines, no CLIP."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import torch

from latte.interfaces import Backbone
from latte.run.profile import matmul_throughput
from latte.train.timing import count_flops

ResultT = TypeVar("ResultT")


class Timed:
    """One side of a comparison, with its measurements."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.wall: list[float] = []
        """Wall seconds, one value per repetition."""
        self.cpu: list[float] = []
        """CPU seconds of all threads."""
        self.flops = 0
        """FLOPs of one repetition in matmuls and convolutions."""

    def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Run `work` and measure its time."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        return result

    def warm_up(self, work: Callable[[], ResultT]) -> ResultT:
        """Run `work` once as warm-up and count its FLOPs."""
        with count_flops() as counter:
            result = work()
        self.flops = counter.get_total_flops()
        return result

    def share_of(self, peak: float) -> str:
        """Share of the matmul throughput `peak`, in FLOPs per second of CPU time."""
        return f"{100 * self.flops / median(self.cpu) / peak:.0f} % of the product's rate"


def cpu_peak(dtype: torch.dtype = torch.float32) -> float:
    """Measure FLOPs per second of CPU time in a 2048 x 2048 matmul."""
    return matmul_throughput("cpu", dtype, clock=time.process_time)


def ratio_line(plain: Timed, latte: Timed) -> str:
    """Return the speed-up of `latte`: the median over the repetitions."""
    line = (
        f"ratio: {median(plain.wall) / median(latte.wall):.2f} by the clock, "
        f"{median(plain.cpu) / median(latte.cpu):.2f} in CPU time"
    )
    return f"{line}, {plain.flops / latte.flops:.2f} in operations" if latte.flops else line


def memory_line() -> str:
    """Return the peak resident size of this process."""
    unit = 2**30 if sys.platform == "darwin" else 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return f"peak memory of the process: {peak:.2f} GiB"


def say(*lines: str) -> None:
    """Print `lines` at once, as the next ones may take minutes."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def no_clip() -> Backbone:
    """Raise an `AssertionError`: for contexts in which no component may load the frozen CLIP."""
    raise AssertionError("nothing that is measured here needs the frozen CLIP")
