"""Time and memory of all parts that grow with the number of images or of classes.

The real code of each stage runs on fake images that have only a name: nothing is decoded, and
features are random. Features are narrow by default: wide ones would take most of the time, and
their memory is known, images x width x 4 bytes.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.measuring import say
from benchmarks.scale_stages import STAGES, World
from latte.run.process import peak_memory_mb, start_measuring

_STATUS = Path("/proc/self/status")


def main(arguments: Sequence[str]) -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument("--images", type=int, default=100_000, help="training images (%(default)s)")
    parser.add_argument("--classes", type=int, default=1_000, help="classes (%(default)s)")
    parser.add_argument("--evaluation", type=int, help="labelled images (a tenth of --images)")
    parser.add_argument("--width", type=int, default=64, help="of features (%(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    labelled = options.images // 10 if options.evaluation is None else options.evaluation
    with TemporaryDirectory(prefix="latte-scale-") as name:
        world = World(Path(name), options.images, options.classes, labelled, options.width)
        say(
            f"{options.images:,} images, {options.classes:,} classes, "
            f"{labelled:,} labelled images, width {options.width}"
        )
        say(f"{'stage':<34}{'CPU s':>8}{'peak MiB':>10}{'kept MiB':>10}{'B/image':>9}")
        largest = max([_measure(stage, world) for stage in STAGES])
    say(f"largest: {largest:,.0f} MiB resident, torch included")


def _measure(stage: Callable[[World], None], world: World) -> float:
    """Run and print one stage; return the peak resident memory in MiB."""
    start_measuring("cpu")
    memory_before, began = _resident(), time.process_time()
    stage(world)
    seconds, highest, memory_after = (
        time.process_time() - began,
        peak_memory_mb("cpu") or 0.0,
        _resident(),
    )
    title = (stage.__doc__ or stage.__name__).split("\n")[0].rstrip(".")
    peak, retained = highest - memory_before, memory_after - memory_before
    image = peak * 2**20 / world.count
    say(f"{title:<34}{seconds:>8.1f}{peak:>10,.1f}{retained:>10,.1f}{image:>9,.0f}")
    return highest


def _resident() -> float:
    match = re.search(r"^VmRSS:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return int(match[1]) / 1024 if match else 0.0
