"""Compare latte's training step with a plain one, the textbook's, on the same batch.

Weights and captions are random, because the time of a step does not depend on their content. Both
sides take turns in one process, with the same threads and allocator settings; medians over all
rounds are printed. On a shared machine, compare CPU time. In fp32 both sides must give the same
losses and prototypes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.latte_step import LatteStep
from benchmarks.measuring import (
    Timed,
    comparison_parser,
    parse_comparison,
    peak_rate,
    report,
    take_turns,
)
from benchmarks.reference_step import ReferenceStep
from benchmarks.step_problem import StepProblem, make_problem
from latte.backbone.precision import backward_in, choose_arithmetic
from latte.interfaces.settings import Precision
from latte.io.device import find_device

TOLERANCE = 1e-4
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
SIDES = ("textbook", "latte")


def main(arguments: Sequence[str]) -> dict[str, float]:
    """Parse arguments, measure and print; return the figures of the last side."""
    options, names = parse_comparison(make_parser("step", __doc__, rounds=3), arguments, SIDES)
    problem = make_problem(options.shape, options.batch, find_device(options.device))
    steps = [build_step(name, problem, options.precision) for name in names]
    sides = [
        Timed(name, step.step, options.device, step.model.token_embedding)
        for name, step in zip(names, steps, strict=True)
    ]

    def differences() -> tuple[float, float]:
        loss, other_loss = (side.result for side in sides)
        return abs(loss - other_loss), prototype_difference(*steps)

    def check() -> None:
        if len(sides) == 2 and options.precision == "fp32" and max(differences()) > TOLERANCE:
            loss, prototypes = differences()
            sys.exit(f"the two steps differ: loss by {loss:.1e}, prototypes by {prototypes:.1e}")

    take_turns(sides, options.rounds, check)
    equality = ""
    if len(sides) == 2:
        loss, prototypes = differences()
        equality = (
            f"difference after {options.rounds + 1} steps: loss {loss:.1e}, "
            f"prototypes {prototypes:.1e}"
        )
    about = f"{options.shape}, {options.device}, {options.precision}, batch {options.batch}"
    peak = product_rate(options.precision, options.device)
    return report(options, about, sides, options.batch, peak, equality)


def make_parser(name: str, about: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options of measurements of training."""
    parser = comparison_parser(name, about, SIDES, rounds)
    parser.add_argument("--shape", default="ViT-B-32", help="open_clip's name, or tiny")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=16)
    return parser


def build_step(name: str, problem: StepProblem, precision: Precision) -> Any:
    """Return the training step of a side, a `LatteStep` or a `ReferenceStep`."""
    return LatteStep(problem, precision) if name == "latte" else ReferenceStep(problem, precision)


def prototype_difference(step: Any, other_step: Any) -> float:
    """Return the largest difference of the prototypes of two steps."""
    return float((step.prototypes - other_step.prototypes).abs().max())


def product_rate(precision: Precision, device: str) -> float:
    """Return the throughput of a large matmul in the precision of a step."""
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
    with backward_in(choose_arithmetic(precision, torch.device(device))):
        return peak_rate(dtypes.get(precision, torch.float32), device)
