"""Time, memory and exactness of the search of neighbours and of self-taught regression.

Features are random, or have the statistics of labelled sets (--features). Other processes may use
the CPU too, so CPU seconds of all threads stand beside wall-clock seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from latte_selftaught.margin import relative_margin
from torch import Tensor

from benchmarks.measuring import say
from benchmarks.scale_features import DrawnFeatures, drawn_features, random_features
from latte.interfaces.progress import Progress
from latte.io.memory import keep_freed_memory
from latte.report.progress import make_progress
from latte.run.process import peak_memory_mb, start_measuring
from latte.toolkit import neighbours as search
from latte.toolkit.self_taught import NEIGHBOURS, self_taught

ResultT = TypeVar("ResultT")
_SAMPLE = 1000
"""Number of images whose neighbours are compared with those of an exact search."""


def main(arguments: Sequence[str]) -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks large", description=__doc__)
    add = parser.add_argument
    add("--images", type=int, default=100_000, help="images (%(default)s)")
    add("--classes", type=int, default=400, help="classes (%(default)s)")
    add("--width", type=int, default=384, help="of features (%(default)s)")
    add("--answers", type=int, default=0, help="images whose class is given (%(default)s)")
    add("--features", type=Path, nargs="+", default=(), metavar="FILE", help="of labelled sets")
    add("--threads", type=int, default=1, help="(%(default)s)")
    add("--exact", action="store_true", help="compare the labels with those of an exact search")
    choice = parser.parse_args(arguments)
    keep_freed_memory()  # as a run does
    torch.set_num_threads(choice.threads)
    drawn = (
        drawn_features(choice.features, choice.width, choice.images, choice.classes)
        if choice.features
        else random_features(choice.width, choice.images, choice.classes)
    )
    say(f"{choice.images:,} images, {choice.classes:,} classes, {choice.answers:,} answers")
    say(f"width {choice.width}, torch {torch.__version__}, {choice.threads} threads")
    measure(drawn, choice.answers, exact=choice.exact)


def measure(drawn: DrawnFeatures, answers: int, *, exact: bool) -> None:
    """Measure each part on `drawn` features, with the classes of the first `answers` images.

    If `exact` is true, neighbours of few images are searched in cells, too, and labels are compared
    with those of an exact search.
    """
    if exact:
        search.EXACT_ROWS = 0
    progress, images = make_progress(), drawn.images
    say(f"{'part':<34}{'wall s':>8}{'CPU s':>8}{'peak MiB':>10}")
    _, indices = _timed("neighbours", lambda: search.nearest_neighbours(images, NEIGHBOURS))
    labels = _timed("neighbours, regressions, labels", lambda: _labels(drawn, answers, progress))
    lead = _timed("lead", lambda: relative_margin(images, drawn.texts, progress=progress))
    queries = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[:_SAMPLE]
    _, nearest = search.nearest_neighbours(images, NEIGHBOURS, queries)
    is_nearest = (indices[queries].unsqueeze(2) == nearest.unsqueeze(1)).any(dim=2)
    say(f"recall of neighbours: {is_nearest.double().mean():.4f}; lead {lead:.2f}")
    _say_right(drawn, labels)
    if not exact:
        return
    search.EXACT_ROWS = len(images)
    exact_labels = _timed("the same, exact search", lambda: _labels(drawn, answers, progress))
    _say_right(drawn, exact_labels)
    say(f"labels that cells change: {(labels != exact_labels).double().mean():.3%}")


def _labels(drawn: DrawnFeatures, answers: int, progress: Progress) -> Tensor:
    given = drawn.labels.masked_fill(torch.arange(len(drawn.labels)) >= answers, -1)
    taught = self_taught(drawn.images, drawn.texts, given, progress=progress)
    return taught.posterior.labels[:, 0]


def _say_right(drawn: DrawnFeatures, labels: Tensor) -> None:
    say(f"right labels: {(labels == drawn.labels).double().mean():.1%}")


def _timed(name: str, work: Callable[[], ResultT]) -> ResultT:
    start_measuring("cpu")
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    say(f"{name:<34}{wall:>8.1f}{cpu:>8.1f}{peak_memory_mb('cpu') or 0:>10,.0f}")
    return result
