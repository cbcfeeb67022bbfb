"""Benchmark of the time and memory of label propagation on random features.

python -m latte_reclip.benchmark --images 100000 --classes 397 --width 512
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

from latte.api import nearest_neighbours
from latte_reclip.graph import propagation_matrix
from latte_reclip.options import LabelPropagationOptions
from latte_reclip.projection import class_directions, project
from latte_reclip.propagation import highest_scores

ResultT = TypeVar("ResultT")


def main() -> None:
    """Time the stages of one label propagation for one learner and print the times."""
    arguments = _arguments()
    options = LabelPropagationOptions()
    texts, images = features(arguments.images, arguments.classes, arguments.width)
    _say(f"{arguments.images} images, {arguments.classes} classes, width {arguments.width}")
    _say(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    _say(f"before: {_peak_mebibytes():.0f} MiB")
    began = time.perf_counter()
    nodes = project(torch.cat([texts, images]), class_directions(texts, options.cut_dim))
    nodes = normalize(nodes, dim=1)
    found = _timed("neighbours", lambda: nearest_neighbours(nodes, options.neighbours))
    matrix = _timed("graph", lambda: propagation_matrix(*found))
    result = _timed("solve", lambda: highest_scores(matrix, len(texts), options))
    reached = result.reached[len(texts) :].float().mean()
    _say(f"total: {time.perf_counter() - began:.1f} s, peak {_peak_mebibytes():.0f} MiB")
    _say(f"images that a class reaches: {reached:.1%}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=397)
    parser.add_argument("--width", type=int, default=512)
    return parser.parse_args()


def features(images: int, classes: int, width: int) -> tuple[Tensor, Tensor]:
    """Return random unit texts (C, D), and unit images (N, D) scattered around these texts."""
    generator = torch.Generator().manual_seed(0)
    texts = normalize(torch.randn(classes, width, generator=generator), dim=1)
    noise = torch.randn(images, width, generator=generator).mul_(width**-0.5)
    return texts, normalize(noise.add_(texts[torch.arange(images) % classes]), dim=1)


def _timed(name: str, work: Callable[[], ResultT]) -> ResultT:
    began = time.perf_counter()
    result = work()
    _say(f"{name}: {time.perf_counter() - began:.1f} s")
    return result


def _peak_mebibytes() -> float:
    """Return the peak resident memory of this process in MiB.

    `ru_maxrss` is in bytes on macOS and in KiB elsewhere.
    """
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
