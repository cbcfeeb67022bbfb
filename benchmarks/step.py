"""Compare latte's training step with a plain one, the textbook's, on the same batch.

Weights and captions are random, because the time of a step does not depend on their content. Both
sides take turns in one process, with the same threads and allocator settings; medians over all
rounds are printed. On a shared machine, compare CPU time. In fp32 both sides must give the same
losses and prototypes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from statistics import median
from typing import Any, Protocol

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from benchmarks.latte_step import LatteStep
from benchmarks.measuring import (
    Timed,
    memory_line,
    peak_line,
    peak_rate,
    ratio_line,
    say,
    side_figures,
)
from benchmarks.reference_step import ReferenceStep
from benchmarks.step_problem import Problem, make_problem
from latte.interfaces.settings import Precision
from latte.run.process import keep_freed_memory
from latte.run.workspace import find_device
from latte.train.precision import backward_in, choose_arithmetic, forward_in

TOLERANCE = 1e-4
LEARNING_RATE = 1e-7
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
_SIDES = ("textbook", "latte")


class Step(Protocol):
    """One side of the comparison."""

    @property
    def model(self) -> Any:
        """The trained model."""

    @property
    def prototypes(self) -> Tensor:
        """Current prototypes (C, D)."""

    def step(self) -> float:
        """Take one step and return the loss."""


class Side(Timed):
    """A step with its measurements."""

    def __init__(self, name: str, step: Step, device: str) -> None:
        super().__init__(name, device)
        self.step = step
        self.loss = float("nan")
        self.tokens = 0

    def begin(self) -> None:
        """Take a step, and count its tokens and FLOPs."""
        handle = self.step.model.token_embedding.register_forward_pre_hook(self._count_tokens)
        self.loss = self.warm_up(self.step.step)
        handle.remove()

    def measure(self) -> None:
        """Take a step and measure its time."""
        self.loss = self.run(self.step.step)

    def _count_tokens(self, module: torch.nn.Module, given: tuple[Tensor]) -> None:
        self.tokens += given[0].numel()


def main(arguments: Sequence[str]) -> dict[str, float]:
    """Parse arguments, measure and print; return the figures of the last side."""
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    problem = make_problem(options.shape, options.batch, find_device(options.device))
    sides = [
        Side(name, _build(name, problem, options.precision), options.device)
        for name in _SIDES
        if options.side in ("both", name)
    ]
    for side in sides:
        side.begin()
    _compare(sides, options.precision)
    for _ in range(options.rounds):
        for side in sides:
            side.measure()
        _compare(sides, options.precision)
    peak = product_rate(options.precision, options.device)
    _report(options, sides, peak)
    return side_figures(sides, options.batch, peak)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks step", description=__doc__)
    parser.add_argument("--shape", default="ViT-B-32", help="open_clip's name, or tiny")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--side", choices=("both", *_SIDES), default="both", help="one alone, for its peak memory"
    )
    return parser


def _build(name: str, problem: Problem, precision: Any) -> Step:
    tokenizer = SimpleTokenizer(context_length=problem.config["text_cfg"]["context_length"])
    if name == "latte":
        return LatteStep(problem, tokenizer, precision, LEARNING_RATE)
    return ReferenceStep(
        problem, tokenizer, arithmetic(precision, problem.pixels.device), LEARNING_RATE
    )


def arithmetic(
    precision: Precision, device: torch.device
) -> Callable[[], AbstractContextManager[Any]]:
    """Return the autocast context of the textbook's forward pass."""
    return lambda: forward_in(choose_arithmetic(precision, device), device)


def product_rate(precision: Precision, device: str) -> float:
    """Return the throughput of a large matmul in the precision of a step."""
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
    with backward_in(choose_arithmetic(precision, torch.device(device))):
        return peak_rate(dtypes.get(precision, torch.float32), device)


def _differences(sides: Sequence[Side]) -> tuple[float, float]:
    first, second = sides
    prototypes = (first.step.prototypes - second.step.prototypes).abs().max().item()
    return abs(first.loss - second.loss), prototypes


def _compare(sides: Sequence[Side], precision: str) -> None:
    if len(sides) == 2 and precision == "fp32" and max(_differences(sides)) > TOLERANCE:
        loss, prototypes = _differences(sides)
        sys.exit(f"the two steps differ: loss by {loss:.1e}, prototypes by {prototypes:.1e}")


def _report(options: argparse.Namespace, sides: Sequence[Side], peak: float) -> None:
    lines = [
        f"{options.shape}, {options.device}, {options.precision}, batch {options.batch}, "
        f"threads {options.threads}, medians of {options.rounds} rounds, torch {torch.__version__}",
        peak_line(peak, options.device),
    ]
    for side in sides:
        seconds, cpu = median(side.wall), median(side.cpu)
        lines.append(
            f"{side.name}: {seconds:.3f} s a step ({cpu:.3f} s of CPU), "
            f"{options.batch / seconds:.2f} images/s, {side.tokens / options.batch:.1f} tokens and "
            f"{side.flops / options.batch / 1e9:.2f} GFLOP an image, "
            f"{side.share_of(peak)}"
        )
    if len(sides) == 2:
        textbook, latte = sides
        loss, prototypes = _differences(sides)
        lines += [
            ratio_line(textbook, latte),
            f"difference after {options.rounds + 1} steps: loss {loss:.1e}, "
            f"prototypes {prototypes:.1e}",
        ]
    say(*lines, memory_line(options.device))
