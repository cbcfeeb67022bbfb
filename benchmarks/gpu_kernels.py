"""Compare steps with and without the kernels of `train.text_attention` and `train.compile`."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from benchmarks import step
from benchmarks.latte_step import LatteStep
from benchmarks.measuring import Timed
from benchmarks.step_problem import Problem, make_problem
from latte.interfaces import LatteError
from latte.interfaces.settings import CompileMode, Precision, TextAttention, TrainSettings
from latte.train.kernels import check_kernels

_PRECISION: Precision = "bf16"
_MOST_RELATIVE = 0.1
"""Largest difference of the gradients, as a share of their norm; bf16 rounds differently."""


class _Side(Timed):
    """A step with its measurements."""

    def __init__(self, name: str, step: LatteStep, device: str) -> None:
        super().__init__(name, device)
        self.step = step
        began = time.perf_counter()
        self.first_loss = step.step()
        self.first_seconds = time.perf_counter() - began
        self.first_gradients = step.gradients()
        step.step()  # CUDA graphs are recorded in the second step

    def measure(self) -> None:
        """Take a step and measure its time."""
        self.run(self.step.step)


def compare_kernels(
    text_attention: TextAttention,
    mode: CompileMode | None,
    *,
    device: str,
    shape: str,
    batch: int,
    rounds: int,
) -> dict[str, Any]:
    """Take steps in bf16 with and without the kernels, alternately; return times and differences.

    Raises:
        LatteError: if the kernels cannot work here, or change gradients by more than rounding.
    """
    problem = make_problem(shape, batch, device)
    plain = _Side("plain", _build(problem), device)
    ours = _Side("kernels", _build(problem, text_attention, mode), device)
    found = {
        "loss differs by": abs(plain.first_loss - ours.first_loss),
        "gradients differ by": _relative(ours.first_gradients, plain.first_gradients),
    }
    if found["gradients differ by"] > _MOST_RELATIVE:
        raise LatteError(f"gradients differ by {found['gradients differ by']:.2g} of their norm")
    for _ in range(rounds):
        plain.measure()
        ours.measure()
    seconds = median(ours.wall)
    return found | {
        "seconds": seconds,
        "seconds without": median(plain.wall),
        "ratio": median(plain.wall) / seconds,
        "seconds of the first step": ours.first_seconds,
    }


def _build(
    problem: Problem, text_attention: TextAttention = "by_length", mode: CompileMode | None = None
) -> LatteStep:
    tokenizer = SimpleTokenizer(context_length=problem.config["text_cfg"]["context_length"])
    built = LatteStep(problem, tokenizer, _PRECISION, step.LEARNING_RATE)
    learner = built.learner
    settings = TrainSettings(text_attention=text_attention, compile=mode)
    check_kernels(settings, learner.backbone, learner.device, learner.arithmetic)
    built.use_kernels(text_attention, mode)
    return built


def _relative(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Return the norm of the difference of all gradients, divided by their norm."""
    if found.keys() != expected.keys():
        raise LatteError(f"other gradients: {sorted(found.keys() ^ expected.keys())}")
    differences = torch.stack([(found[name] - one).norm() for name, one in expected.items()])
    norms = torch.stack([one.norm() for one in expected.values()])
    return (differences.norm() / norms.norm()).item()
