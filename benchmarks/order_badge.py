"""Order of asking: spread gradients of the last layer.

Ash, Zhang, Krishnamurthy, Langford, Agarwal: Deep Batch Active Learning by Diverse, Uncertain
Gradient Lower Bounds (ICLR 2020), algorithm 1. The gradient of an image with label y is the outer
product of p - one-hot(y) and its features; k-means++ draws images by these gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from benchmarks.order_problem import AskingProblem


def badge_order(problem: AskingProblem, count: int) -> Tensor:
    """Return images without an answer, the largest gradient first, the others by k-means++."""
    rows = (~problem.is_answered).nonzero().squeeze(1)
    probabilities, directions = problem.probabilities[rows], problem.directions[rows]
    errors = probabilities - one_hot(probabilities.argmax(dim=1), problem.classes)
    # The inner product of two outer products is the product of the inner products.
    products = ((errors @ errors.T) * (directions @ directions.T)).double()
    squares = products.diagonal()
    chosen = [int(squares.argmax())] if len(rows) else []
    nearest = torch.full_like(squares, torch.inf)
    while chosen and len(chosen) < min(count, len(rows)):
        apart = squares + squares[chosen[-1]] - 2 * products[chosen[-1]]
        nearest = nearest.minimum(apart.clamp_min(0))
        nearest[chosen] = 0
        weights = nearest if float(nearest.sum()) > 0 else _unchosen(nearest, chosen)
        chosen.append(int(torch.multinomial(weights, 1, generator=problem.generator)))
    return rows[chosen]


def _unchosen(like: Tensor, chosen: list[int]) -> Tensor:
    weights = torch.ones_like(like)
    weights[chosen] = 0
    return weights
