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
    posteriors: Tensor, labels: Tensor | None = None, classes: int | None = None
) -> Tensor:
    """Estimate the class priors (C,), float64, of the images that `posteriors` are about.

    From equal priors on: q_ik is p_ik pi_k, normalised over k, and pi_k the mean of q_ik over i,
    until no prior moves by more than a millionth. Posteriors should be calibrated.

    Args:
        posteriors: (N, C) probabilities, rows that sum to 1; without an image priors stay equal.
            With `labels` (N, K), of the K classes that these name.
        labels: (N, K) int64 classes.
        classes: C; needed with `labels`.
    """
    images, width = posteriors.shape
    count = width if classes is None else classes
    priors = torch.full((count,), 1 / max(1, count), dtype=torch.float64)
    for _ in range(_ITERATIONS if images else 0):
        total = torch.zeros_like(priors)
        for rows in row_blocks(images, width):
            if labels is None:
                total += reweighted(posteriors[rows], priors).sum(dim=0)
            else:
                shares = reweighted(posteriors[rows], priors[labels[rows]])
                total.index_add_(0, labels[rows].flatten(), shares.flatten())
        before, priors = priors, total / images
        if float((priors - before).abs().max()) <= _TOLERANCE:
            break
    return priors


def reweighted(posteriors: Tensor, weights: Tensor) -> Tensor:
    """Return posteriors (B, C), float64, times class `weights` (C,) or (B, C); rows sum to 1.

    The weights are new priors divided by old ones. A row of which nothing is left stays as it was.
    """
    given = posteriors.double()
    scaled = given * weights.double()
    total = scaled.sum(dim=1, keepdim=True)
    return torch.where(total > 0, scaled / total.clamp_min(torch.finfo(torch.float64).tiny), given)
