"""Time, memory and exactness of the search of neighbours and of the mixture for many images.

Features are random, or have the statistics of labelled sets (--features). Other processes may use
the CPU too, so CPU seconds of all threads stand beside wall-clock seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from latte_transductive import large
from latte_transductive.labeler import TransductiveOptions
from latte_transductive.large import fit_large_among_other_names, is_large, updates
from latte_transductive.margin import relative_margin
from latte_transductive.neighbours import neighbours_of
from latte_transductive.other_names import NAMES, fit_among_other_names
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.measuring import say
from benchmarks.scale_features import DrawnFeatures, drawn_features, random_features
from latte.interfaces.progress import Progress, long_task
from latte.io.memory import keep_freed_memory
from latte.report.progress import make_progress
from latte.run.process import peak_memory_mb, start_measuring
from latte.toolkit import neighbours as search

ResultT = TypeVar("ResultT")
_SAMPLE = 1000
"""Number of images whose neighbours are compared with those of an exact search."""


def main(arguments: Sequence[str]) -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks large", description=__doc__)
    parser.add_argument("--images", type=int, default=100_000, help="images (%(default)s)")
    parser.add_argument("--classes", type=int, default=400, help="classes (%(default)s)")
    parser.add_argument("--width", type=int, default=384, help="of features (%(default)s)")
    parser.add_argument(
        "--features",
        type=Path,
        nargs="+",
        default=(),
        metavar="FILE",
        help="files of labelled sets",
    )
    parser.add_argument("--threads", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--iterations", type=int, default=10, help="of each fit (%(default)s)")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="compare the labels with those of an exact search and a fit with all classes",
    )
    choice = parser.parse_args(arguments)
    keep_freed_memory()  # as a run does
    torch.set_num_threads(choice.threads)
    drawn = (
        drawn_features(choice.features, choice.width, choice.images, choice.classes)
        if choice.features
        else random_features(choice.width, choice.images, choice.classes)
    )
    say(f"{choice.images:,} images, {choice.classes:,} classes, width {choice.width}")
    say(f"torch {torch.__version__}, {choice.threads} threads")
    measure(drawn, TransductiveOptions(iterations=choice.iterations), exact=choice.exact)


def measure(drawn: DrawnFeatures, options: TransductiveOptions, *, exact: bool) -> None:
    """Measure each part on `drawn` features.

    If `exact` is true, neighbours of few images are searched in cells, too, and labels are compared
    with those of an exact search and a fit with all classes.
    """
    if exact:
        search.EXACT_ROWS = 0
    progress = make_progress()
    images, count = drawn.images, options.neighbours
    say(f"{'part':<34}{'wall s':>8}{'CPU s':>8}{'peak MiB':>10}")
    neighbours = _timed("neighbours", lambda: neighbours_of(images, count, progress))
    assert neighbours is not None, "there are several images"
    other_texts = _texts_of_others(drawn)
    labels = _timed(
        "two mixtures in blocks", lambda: _labels_in_blocks(drawn, other_texts, options, progress)
    )
    lead = _timed("lead", lambda: relative_margin(images, drawn.texts, progress=progress))
    queries = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[:_SAMPLE]
    _, nearest = search.nearest_neighbours(images, count, queries)
    is_nearest = (neighbours.indices[queries].unsqueeze(2) == nearest.unsqueeze(1)).any(dim=2)
    say(f"recall of neighbours: {is_nearest.double().mean():.4f}; lead {lead:.2f}")
    usual = "in blocks" if is_large(images, drawn.texts) else "with all classes at once"
    say(f"a run fits a mixture of this size {usual} (limit: {large.LARGE:,} probabilities)")
    _say_right(drawn, "in blocks", labels)
    if not exact:
        return
    search.EXACT_ROWS = len(images)
    uncached = replace(drawn, images=images.clone())  # whose neighbours are not cached
    _timed("exact neighbours", lambda: neighbours_of(uncached.images, count, progress))
    all_classes = _timed(
        "two mixtures at once", lambda: _labels_at_once(uncached, other_texts, options)
    )
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(2))
    shuffled = DrawnFeatures(images[order], drawn.texts, drawn.labels[order], drawn.logit_scale)
    reordered = torch.empty_like(all_classes)
    reordered[order] = _labels_at_once(shuffled, other_texts, options)
    _say_right(drawn, "at once", all_classes)
    say(f"labels that cells and blocks change: {(labels != all_classes).double().mean():.3%}")
    changed = (reordered != all_classes).double().mean()
    say(f"labels that another order of images changes: {changed:.3%}")


def _texts_of_others(drawn: DrawnFeatures) -> Tensor:
    """Return unit vectors (M, D) near the class texts, in place of texts of `NAMES`."""
    texts, generator = drawn.texts, torch.Generator().manual_seed(1)
    spread = (texts - texts.mean(dim=0)).square().mean().sqrt()
    noise = torch.randn(len(NAMES), texts.shape[1], generator=generator)
    return normalize(texts.mean(dim=0) + spread * noise, dim=1)


def _labels_in_blocks(
    drawn: DrawnFeatures, other_texts: Tensor, options: TransductiveOptions, progress: Progress
) -> Tensor:
    total = updates(options, options.other_names)
    with long_task(progress, "fit mixtures", total, "updates") as task:
        fit = partial(fit_large_among_other_names, advance=task.advance)
        return _fitted(fit, drawn, other_texts, options).posterior.labels[:, 0]


def _labels_at_once(
    drawn: DrawnFeatures, other_texts: Tensor, options: TransductiveOptions
) -> Tensor:
    fitted = _fitted(fit_among_other_names, drawn, other_texts, options)
    return fitted.posteriors.argmax(dim=1)


def _fitted(
    fit: Callable[..., ResultT],
    drawn: DrawnFeatures,
    other_texts: Tensor,
    options: TransductiveOptions,
) -> ResultT:
    """Return a mixture by one of the two functions that fit among names of other things."""
    texts, names, balance = drawn.texts, options.other_names, options.balance
    return fit(
        drawn.images, texts, other_texts, drawn.logit_scale, options, names=names, balance=balance
    )


def _say_right(drawn: DrawnFeatures, name: str, labels: Tensor) -> None:
    say(f"right labels {name}: {(labels == drawn.labels).double().mean():.1%}")


def _timed(name: str, work: Callable[[], ResultT]) -> ResultT:
    start_measuring("cpu")
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    say(f"{name:<34}{wall:>8.1f}{cpu:>8.1f}{peak_memory_mb('cpu') or 0:>10,.0f}")
    return result
