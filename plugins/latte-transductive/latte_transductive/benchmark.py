"""How long one round of the labeler takes and how much memory, on random features.

python -m latte_transductive.benchmark --images 100000 --classes 397 --width 512
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte_transductive.graph import neighbour_graph
from latte_transductive.mixture import fit_mixture, log_prior, unseen_rows
from latte_transductive.options import TransductiveOptions

LOGIT_SCALE = 50.0

ResultT = TypeVar("ResultT")


def main() -> None:
    """Time the stages of labelling one learner's features."""
    arguments = _arguments()
    options = TransductiveOptions()
    texts, images, truth = _features(arguments.images, arguments.classes, arguments.width)
    _say(f"{arguments.images} images, {arguments.classes} classes, width {arguments.width}")
    _say(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    _say(f"before: {_peak_megabytes():.0f} MB")
    began = time.perf_counter()
    prior = _timed("prior", lambda: log_prior(LOGIT_SCALE * images @ texts.T, options.debias))
    graph = _timed("neighbours", lambda: neighbour_graph(images, options.neighbours))
    mixture = _timed("mixture", lambda: fit_mixture(images, prior, graph, options))
    unseen_rows(mixture, texts, torch.tensor(LOGIT_SCALE), options.likelihood_weight)
    _say(f"total: {time.perf_counter() - began:.1f} s, peak {_peak_megabytes():.0f} MB")
    for name, scores in (("prior", prior), ("mixture", mixture.assignments)):
        right = (scores.argmax(dim=1) == truth).double().mean().item()
        _say(f"right by {name}: {right:.1%}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=397)
    parser.add_argument("--width", type=int, default=512)
    return parser.parse_args()


def _features(images: int, classes: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Unit texts (C, D), images (N, D) scattered around points near them, and whose (N,)."""
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


def _peak_megabytes() -> float:
    """Largest resident size of this process so far; the system counts kilobytes, macOS bytes."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
