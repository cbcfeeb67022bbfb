"""Helpers of measurements: timed sides, matmul throughput, printed lines."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

import torch

from latte.interfaces import Backbone
from latte.run.profile import matmul_throughput
from latte.train.timing import count_flops, wait_for

ResultT = TypeVar("ResultT")


class Timed:
    """One side of a comparison, with its measurements."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        self.name = name
        self.device = device
        self.wall: list[float] = []
        """Wall seconds, one value per repetition."""
        self.cpu: list[float] = []
        """CPU seconds of all threads."""
        self.flops = 0
        """FLOPs of one repetition in matmuls and convolutions."""

    def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Run `work` and measure its time."""
        wait_for(self.device)
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        wait_for(self.device)
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
        """Share of the matmul throughput `peak` that `peak_rate` returned."""
        return f"{100 * self.share(peak):.0f} % of the product's rate"

    def share(self, peak: float) -> float:
        """Share of the matmul throughput `peak`, as a number."""
        # On a CPU, CPU seconds are compared, because other processes may use the CPU too.
        return self.flops / median(self.cpu if self.device == "cpu" else self.wall) / peak


def peak_rate(dtype: torch.dtype = torch.float32, device: str = "cpu") -> float:
    """Measure FLOPs per second in a large matmul: per CPU second, or per second on a GPU."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    # A CPU that does not compute in fp16 takes minutes for the usual size.
    side = 256 if device == "cpu" and dtype == torch.float16 else None
    return matmul_throughput(device, dtype, clock=clock, side=side)


def peak_line(peak: float, device: str) -> str:
    """Return the line that reports a `peak_rate`."""
    place = "CPU" if device == "cpu" else device
    return f"a large matrix product: {peak / 1e9:.0f} GFLOP a second of {place}"


def side_figures(sides: Sequence[Timed], images: int, peak: float) -> dict[str, float]:
    """Return the last side's measurements for tables, given the `images` per repetition."""
    last, seconds = sides[-1], median(sides[-1].wall)
    figures = {
        "seconds": seconds,
        "images per second": images / seconds,
        "share of product": last.share(peak),
        "peak GiB": peak_memory(last.device),
    }
    return figures if len(sides) == 1 else figures | {"ratio": median(sides[0].wall) / seconds}


def ratio_line(plain: Timed, latte: Timed) -> str:
    """Return the speed-up of `latte`: the median over the repetitions."""
    line = (
        f"ratio: {median(plain.wall) / median(latte.wall):.2f} by the clock, "
        f"{median(plain.cpu) / median(latte.cpu):.2f} in CPU time"
    )
    return f"{line}, {plain.flops / latte.flops:.2f} in operations" if latte.flops else line


def peak_memory(device: str = "cpu") -> float:
    """Return the peak memory in GiB: of this process on a GPU, or else its resident size."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def memory_line(device: str = "cpu") -> str:
    """Return the line that reports `peak_memory`."""
    return f"peak memory of the process: {peak_memory(device):.2f} GiB"


def say(*lines: str) -> None:
    """Print `lines` at once, as the next ones may take minutes."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def table_row(cells: Sequence[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def no_clip() -> Backbone:
    """Raise an `AssertionError`; used if no component may load the frozen CLIP."""
    raise AssertionError("nothing that is measured here needs the frozen CLIP")
