"""Order of asking: the smallest margin between the two likeliest classes.

Scheffer, Decomain, Wrobel: Active Hidden Markov Models for Information Extraction (IDA 2001).
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.order_problem import AskingProblem


def margin_order(problem: AskingProblem, count: int) -> Tensor:
    """Return the images without an answer that have the smallest margins."""
    margins = problem.margins.masked_fill(problem.is_answered, torch.inf)
    left = int((~problem.is_answered).sum())
    return margins.argsort(stable=True)[: min(count, left)]
