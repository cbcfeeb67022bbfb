"""Order of asking: random images."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.order_problem import AskingProblem


def random_order(problem: AskingProblem, count: int) -> Tensor:
    """Return random images without an answer."""
    rows = (~problem.is_answered).nonzero().squeeze(1)
    return rows[torch.randperm(len(rows), generator=problem.generator)[:count]]
