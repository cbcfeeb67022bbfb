"""How common each class is among unlabelled images, and posteriors that take it into account.

Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori
probabilities: a simple procedure", Neural Computation 14 (2002): expectation maximisation of the
likelihood of the images, section 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latte.data.blocks import row_blocks

_ITERATIONS = 1000
_TOLERANCE = 1e-6


def estimate_priors(
    posteriors: Tensor,
    assumed: Tensor | None = None,
    *,
    iterations: int = _ITERATIONS,
    tolerance: float = _TOLERANCE,
) -> Tensor:
    """Estimate the class priors (C,), float64, of the images that `posteriors` (N, C) are about.

    From pi = pi0 on: q_ik = p_ik pi_k / pi0_k, normalised over k, and pi_k = mean of q_ik over i,
    until no prior moves by more than `tolerance`. Posteriors should be calibrated.

    Args:
        posteriors: probabilities of N images, rows that sum to 1; without an image the priors stay.
        assumed: pi0 (C,), positive, that the posteriors contain; default: all classes alike.
        iterations: most of them.
        tolerance: largest change of a prior at which it stops.
    """
    images, classes = posteriors.shape
    start = _uniform(classes) if assumed is None else assumed.double() / assumed.double().sum()
    priors = start
    for _ in range(iterations if images else 0):
        weights, total = priors / start, torch.zeros(classes, dtype=torch.float64)
        for rows in row_blocks(images, classes):
            total += reweighted(posteriors[rows], weights).sum(dim=0)
        before, priors = priors, total / images
        if float((priors - before).abs().max()) <= tolerance:
            break
    return priors


def reweighted(posteriors: Tensor, weights: Tensor) -> Tensor:
    """Return posteriors (B, C), float64, times class `weights` (C,), with rows that sum to 1.

    The weights are new priors divided by old ones. A row of which nothing is left stays as it was.
    """
    given = posteriors.double()
    scaled = given * weights.double()
    total = scaled.sum(dim=1, keepdim=True)
    return torch.where(total > 0, scaled / total.clamp_min(torch.finfo(torch.float64).tiny), given)


def _uniform(classes: int) -> Tensor:
    return torch.full((classes,), 1 / max(1, classes), dtype=torch.float64)
