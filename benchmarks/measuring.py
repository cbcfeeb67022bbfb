"""What every measurement here needs: times of two sides in turns, and what the machine can do."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

import torch

from latte.run.profile import matmul_throughput
from latte.train.timing import count_flops

ResultT = TypeVar("ResultT")


class Timed:
    """One side of a comparison with what was measured of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.wall: list[float] = []
        """Seconds by the clock, one value a round."""
        self.cpu: list[float] = []
        """Seconds of the processor, of all threads."""
        self.flops = 0
        """Floating-point operations of one round in products and convolutions."""

    def run(self, work: Callable[[], ResultT]) -> ResultT:
        """`work`, by the clock."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        return result

    def warm_up(self, work: Callable[[], ResultT]) -> ResultT:
        """`work` once before the clock counts; its operations are counted in place of its time."""
        with count_flops() as counter:
            result = work()
        self.flops = counter.get_total_flops()
        return result

    def share_of(self, peak: float) -> str:
        """Of the rate of a plain product, `peak` operations a second of CPU."""
        return f"{100 * self.flops / median(self.cpu) / peak:.0f} % of the product's rate"


def cpu_peak(dtype: torch.dtype = torch.float32) -> float:
    """Floating-point operations a second of CPU of a 2048 x 2048 product."""
    return matmul_throughput("cpu", dtype, clock=time.process_time)


def ratio_line(plain: Timed, latte: Timed) -> str:
    """How many times faster `latte` is, as the median over the rounds of both."""
    line = (
        f"ratio: {median(plain.wall) / median(latte.wall):.2f} by the clock, "
        f"{median(plain.cpu) / median(latte.cpu):.2f} in CPU time"
    )
    return f"{line}, {plain.flops / latte.flops:.2f} in operations" if latte.flops else line


def memory_line() -> str:
    """The largest resident size of this process so far."""
    unit = 2**30 if sys.platform == "darwin" else 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return f"peak memory of the process: {peak:.2f} GiB"


def say(lines: Sequence[str]) -> None:
    """Print `lines`."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
