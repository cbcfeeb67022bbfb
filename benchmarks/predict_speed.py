"""Speed of classifying a folder with a run's model, compared with one image at a time.

    python benchmarks/predict_speed.py RUN FOLDER [ROUNDS]

Prints images per second of wall time, and CPU seconds per 1,000 images, which vary less on a
busy machine. Both sides take turns, so that other load slows both.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import latte
from latte.predict.stream import named_images


def one_at_a_time(run: Path, paths: list[str]) -> Callable[[], object]:
    """Return a function that classifies with one call per file."""
    model = latte.load(run, device="cpu")
    return lambda: [model.predict(path, batch_size=1) for path in paths]


def streaming(run: Path, folder: Path) -> Callable[[], object]:
    """Return a function that classifies like `latte predict RUN FOLDER`."""
    model = latte.load(run, device="cpu")
    return lambda: sum(1 for _ in model.predict_iter(folder))


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds of `work`."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    """Compare, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    given = parser.parse_args()
    paths = [one.name for one in named_images(given.folder)]
    ways = {
        "one at a time": one_at_a_time(given.run, paths),
        "streaming": streaming(given.run, given.folder),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, work in ways.items():
            seconds[name].append(measured(work))
    for name, rounds in seconds.items():
        wall, processor = (median(one[part] for one in rounds) for part in (0, 1))
        sys.stdout.write(
            f"{name:14} {len(paths) / wall:7.1f} images/s"
            f" {1000 * processor / len(paths):7.1f} s of processor time for 1,000\n"
        )


if __name__ == "__main__":
    main()
