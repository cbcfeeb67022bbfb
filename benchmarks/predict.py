"""Speed of classifying a folder with a run's model, compared with one image at a time.

Prints images per second of wall time, and CPU seconds per 1,000 images, which vary less on a
busy machine. Both sides take turns, so that other load slows both.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import latte
from benchmarks.measuring import Timed, say
from latte.predict.stream import named_images


def main(arguments: Sequence[str]) -> None:
    """Compare, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks predict", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    options = parser.parse_args(arguments)
    paths = [image.name for image in named_images(options.folder)]
    one_by_one, streaming = (latte.load(options.run, device="cpu") for _ in range(2))
    sides: list[Timed[object]] = [
        Timed("one at a time", lambda: [one_by_one.predict(path, batch_size=1) for path in paths]),
        Timed("streaming", lambda: [*streaming.predict_iter(options.folder)]),
    ]
    for _ in range(options.rounds):
        for side in sides:
            side.measure()
    for side in sides:
        say(
            f"{side.name:14} {len(paths) / median(side.wall):7.1f} images/s"
            f" {1000 * median(side.cpu) / len(paths):7.1f} s of processor time for 1,000"
        )
