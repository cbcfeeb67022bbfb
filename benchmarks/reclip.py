"""Compare latte-reclip's label propagation, whose memory grows with N, with dense matrices.

The plain side stores all N x N similarities and a dense graph, and solves (I - alpha S) Y = E for
all classes with a factorisation. Both sides take turns on the same random features and must give
the same labels. With `--images 100000`, the plain side runs out of memory: use `--side latte`.
Neither side spends much time in dense matmuls, so no share of the matmul throughput is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

import torch
from latte_reclip.reclip import (
    LabelPropagationOptions,
    Propagated,
    class_directions,
    project,
    propagate,
)
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.measuring import (
    Timed,
    comparison_parser,
    heading,
    memory_line,
    parse_comparison,
    ratio_line,
    say,
)

LARGEST_DENSE = 20_000
"""Largest number of nodes for which dense matrices take less than 10 GiB."""
LEAST_EQUAL = 0.999
"""Smallest share of equal labels; rounding can change the label of nearly equal scores."""
_WARM_UP = 1000
"""Images of the warm-up, which loads libraries and starts threads."""
_SIDES = ("dense", "latte")


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
    options, names = parse_comparison(_parser(), arguments, _SIDES)
    if "dense" in names and options.images > LARGEST_DENSE:
        sys.exit(f"whole matrices of {options.images} images: add --side latte")
    texts, images = features(options.images, options.classes, options.width)
    settings = LabelPropagationOptions(tolerance=options.tolerance)
    ways = {"dense": dense, "latte": propagate}
    for name in names:
        ways[name](texts, images[:_WARM_UP], settings)
    sides = [Timed(name, partial(ways[name], texts, images, settings)) for name in names]
    for _ in range(options.rounds):
        for side in sides:
            side.measure()
    equality = []
    if len(sides) == 2:
        if (equal := _equal(*(side.result for side in sides))) < LEAST_EQUAL:
            sys.exit(f"only {equal:.2%} of the labels are equal")
        equality = [ratio_line(*sides), f"equal labels: {equal:.2%}"]
    reached = [side.result.reached[options.classes :].double().mean() for side in sides]
    say(
        heading(
            f"{options.images} images, {options.classes} classes, width {options.width}", options
        ),
        *(
            f"{side.times(options.images)}, {share:.1%} of images reached"
            for side, share in zip(sides, reached, strict=True)
        ),
        *equality,
        memory_line(),
    )


def _parser() -> argparse.ArgumentParser:
    parser = comparison_parser("reclip", __doc__, _SIDES, rounds=3)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--classes", type=int, default=47)
    parser.add_argument("--width", type=int, default=512)
    tolerance = LabelPropagationOptions().tolerance
    parser.add_argument("--tolerance", type=float, default=tolerance, help="latte's residuals")
    return parser


def _equal(published: Propagated, latte: Propagated) -> float:
    reached = published.reached & latte.reached
    return (published.labels == latte.labels)[reached].double().mean().item()
