"""Compare latte-reclip's label propagation, whose memory grows with N, with dense matrices.

The plain side stores all N x N similarities and a dense graph, and solves (I - alpha S) Y = E for
all classes with a factorisation. Both sides take turns on the same random features and must give
the same labels. With `--images 100000`, the plain side runs out of memory: use `--side latte`.
Neither side spends much time in dense matmuls, so no share of the matmul throughput is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from statistics import median

import torch
from latte_reclip.options import LabelPropagationOptions
from latte_reclip.propagation import Propagated, class_directions, project, propagate
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.measuring import Timed, memory_line, ratio_line, say
from latte.run.process import keep_freed_memory

LARGEST_DENSE = 20_000
"""Largest number of nodes for which dense matrices take less than 10 GiB."""
LEAST_EQUAL = 0.999
"""Smallest share of equal labels; rounding can change the label of nearly equal scores."""
_WARM_UP = 1000
_SIDES = ("dense", "latte")
_Way = Callable[[Tensor, Tensor, LabelPropagationOptions], Propagated]


class Side(Timed):
    """One implementation of label propagation, with its result."""

    def __init__(self, name: str, texts: Tensor, images: Tensor, tolerance: float) -> None:
        super().__init__(name)
        self.found = Propagated(torch.empty(0), torch.empty(0))
        ways: dict[str, _Way] = {"dense": dense, "latte": propagate}
        options = LabelPropagationOptions(tolerance=tolerance)
        self._way = lambda some: ways[name](texts, images[:some], options)
        self._images = len(images)

    def begin(self) -> None:
        """Warm up on a few images: load libraries and start threads."""
        self._way(_WARM_UP)

    def measure(self) -> None:
        """Propagate once and measure the time."""
        self.found = self.run(lambda: self._way(self._images))


def features(images: int, classes: int, width: int) -> tuple[Tensor, Tensor]:
    """Return random unit texts (C, D), and unit images (N, D) scattered around these texts."""
    generator = torch.Generator().manual_seed(0)
    texts = normalize(torch.randn(classes, width, generator=generator), dim=1)
    noise = torch.randn(images, width, generator=generator).mul_(width**-0.5)
    return texts, normalize(noise.add_(texts[torch.arange(images) % classes]), dim=1)


def dense(texts: Tensor, images: Tensor, options: LabelPropagationOptions) -> Propagated:
    """Return the result of `propagate` by the paper's formulas (ReCLIP, section 3.2)."""
    nodes = torch.cat([texts, images])
    nodes = normalize(project(nodes, class_directions(texts, options.cut_dim)), dim=1)
    similarities = (nodes @ nodes.T).fill_diagonal_(-torch.inf)
    cosines, indices = similarities.topk(min(options.neighbours, len(nodes) - 1), dim=1)
    graph = torch.zeros_like(similarities).scatter_(1, indices, (cosines + 1) / 2)
    graph = (graph + graph.T) / 2
    scales = graph.sum(dim=1).rsqrt()
    system = torch.eye(len(nodes)) - options.alpha * scales[:, None] * graph * scales
    sources = torch.eye(len(nodes), len(texts))
    highest, labels = torch.linalg.solve(system, sources).max(dim=1)
    return Propagated(labels, highest > 0)


def main(arguments: Sequence[str]) -> None:
    """Parse arguments, measure and print."""
    options = _parser().parse_args(arguments)
    names = _SIDES if options.side == "both" else (options.side,)
    if "dense" in names and options.images > LARGEST_DENSE:
        sys.exit(f"whole matrices of {options.images} images: add --side latte")
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    texts, images = features(options.images, options.classes, options.width)
    sides = [Side(name, texts, images, options.tolerance) for name in names]
    for side in sides:
        side.begin()
    for _ in range(options.rounds):
        for side in sides:
            side.measure()
    if len(sides) == 2 and _equal(sides) < LEAST_EQUAL:
        sys.exit(f"only {_equal(sides):.2%} of the labels are equal")
    _report(options, sides)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks reclip", description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--classes", type=int, default=47)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    tolerance = LabelPropagationOptions().tolerance
    parser.add_argument("--tolerance", type=float, default=tolerance, help="latte's residuals")
    parser.add_argument(
        "--side", choices=("both", *_SIDES), default="both", help="one alone, for its peak memory"
    )
    return parser


def _equal(sides: Sequence[Side]) -> float:
    first, second = sides
    reached = first.found.reached & second.found.reached
    return (first.found.labels == second.found.labels)[reached].double().mean().item()


def _report(options: argparse.Namespace, sides: Sequence[Side]) -> None:
    lines = [
        f"{options.images} images, {options.classes} classes, width {options.width}, threads "
        f"{options.threads}, medians of {options.rounds} rounds, torch {torch.__version__}",
    ]
    for side in sides:
        reached = side.found.reached[options.classes :].double().mean().item()
        lines.append(
            f"{side.name}: {median(side.wall):.2f} s ({median(side.cpu):.2f} s of CPU), "
            f"{options.images / median(side.wall):.0f} images/s, {reached:.1%} of images reached"
        )
    if len(sides) == 2:
        lines += [ratio_line(*sides), f"equal labels: {_equal(sides):.2%}"]
    say(*lines, memory_line())
