"""Order of asking: uncertainty coverage, the nearest kin of latte's order.

Bae, Oliveira, Sutherland: Uncertainty Herding: One Active Learning Method for All Label Budgets
(ICLR 2025). The next image adds most to mean_i u_i max_j k(x_i, x_j) over the answered images j; u
is one minus the margin, and k a Gaussian whose width is the smallest distance between answered
images. Before there are two, the width is 1 and u is 1, so that the first images are those of
MaxHerding (Bae, Noh, Sutherland, ECCV 2024). The probabilities are those of the shipped method; the
paper's temperature is not fitted again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.order_problem import AskingProblem

_FIRST_WIDTH, _LEAST_WIDTH = 1.0, 1e-3


def uherding_order(problem: AskingProblem, count: int) -> Tensor:
    """Return the images whose answers add most uncertainty coverage, greedily."""
    distances, answered = problem.distances, problem.is_answered.clone()
    kernel = (-(distances / _width(distances, answered)).square()).exp()
    is_first = int(answered.sum()) < 2
    uncertain = torch.ones_like(problem.margins) if is_first else 1 - problem.margins
    covered = kernel[answered].amax(dim=0) if bool(answered.any()) else torch.zeros(len(kernel))
    rows: list[int] = []
    while len(rows) < count and not bool(answered.all()):
        added = (kernel - covered).clamp_min(0) @ uncertain.to(kernel)
        rows.append(int(added.masked_fill(answered, -1).argmax()))
        answered[rows[-1]] = True
        covered = covered.maximum(kernel[rows[-1]])
    return torch.tensor(rows, dtype=torch.int64)


def _width(distances: Tensor, answered: Tensor) -> float:
    """Return the smallest distance between answered images; 1 for fewer than two."""
    between = distances[answered][:, answered]
    if len(between) < 2:
        return _FIRST_WIDTH
    apart = between.masked_fill(torch.eye(len(between), dtype=torch.bool), torch.inf)
    return max(_LEAST_WIDTH, float(apart.min()))
