"""Benchmark of the time and memory that the labeler and the guard need, on random features.

python -m latte_transductive.benchmark --images 100000 --classes 397 --width 512
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte_transductive.agreement import fit_frozen, mixture_labels
from latte_transductive.margin import relative_margin
from latte_transductive.options import MixtureOptions
from latte_transductive.other_names import NAMES, fit_among_other_names

LOGIT_SCALE = 50.0

ResultT = TypeVar("ResultT")


def main() -> None:
    """Time the fits of the labeler `transductive` and the signal of the guard `evidence`."""
    arguments = _arguments()
    options = MixtureOptions()
    texts, images, truth = _features(arguments.images, arguments.classes, arguments.width)
    _say(f"{arguments.images} images, {arguments.classes} classes, width {arguments.width}")
    _say(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    _say(f"before: {_peak_mebibytes():.0f} MiB")
    began = time.perf_counter()
    mixture = _timed("one mixture", lambda: fit_frozen(images, texts, LOGIT_SCALE, options))
    others = normalize(torch.randn(len(NAMES), arguments.width), dim=1)
    fit = partial(fit_among_other_names, images, texts, others, LOGIT_SCALE, options)
    _timed("two mixtures among other names", partial(fit, names=10, balance=0.5))
    lead = _timed("lead", lambda: relative_margin(images, texts))
    _say(f"total: {time.perf_counter() - began:.1f} s, peak {_peak_mebibytes():.0f} MiB")
    for name, fitted in (("texts", None), ("mixture", mixture)):
        labels = mixture_labels(images, texts, LOGIT_SCALE, fitted)
        _say(f"right by {name}: {(labels == truth).double().mean():.1%}")
    _say(f"lead {lead:.2f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=397)
    parser.add_argument("--width", type=int, default=512)
    return parser.parse_args()


def _features(images: int, classes: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return random unit texts (C, D), images (N, D) around them, and the true classes (N,)."""
    generator = torch.Generator().manual_seed(0)
    texts = normalize(torch.randn(classes, width, generator=generator), dim=1)
    points = normalize(texts + 3 * width**-0.5 * torch.randn(texts.shape, generator=generator))
    truth = torch.arange(images) % classes
    noise = torch.randn(images, width, generator=generator).mul_(2 * width**-0.5)
    return texts, normalize(noise.add_(points[truth]), dim=1), truth


def _timed(name: str, work: Callable[[], ResultT]) -> ResultT:
    began = time.perf_counter()
    result = work()
    _say(f"{name}: {time.perf_counter() - began:.1f} s")
    return result


def _peak_mebibytes() -> float:
    """Return the peak memory of this process; `ru_maxrss` is in bytes on macOS, else in KiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
