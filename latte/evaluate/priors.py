"""Class priors of unlabelled images, and posteriors with new priors.

The method is expectation maximisation: section 2 of Saerens, Latinne and Decaestecker, "Adjusting
the outputs of a classifier to new a priori probabilities: a simple procedure", Neural Computation
14 (2002).
"""

from __future__ import annotations

import torch
from torch import Tensor

from latte.toolkit.blocks import row_blocks

_ITERATIONS = 1000
_TOLERANCE = 1e-6


def estimate_priors(posteriors: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Estimate the class priors (C,), float64, of N images from their posteriors.

    `posteriors` p_ik (N, K) of images i are those of the K classes `labels` (N, K) out of C
    `classes`; they should be calibrated. All priors pi_k start equal. Each step computes q_ik =
    p_ik pi_k, normalised over k, and sets pi_k to the mean of q_ik over i. Steps end when no prior
    changes by more than 1e-6, or after 1000 steps. If N is 0, priors stay equal.
    """
    images, width = posteriors.shape
    priors = torch.full((classes,), 1 / max(1, classes), dtype=torch.float64)
    for _ in range(_ITERATIONS if images else 0):
        class_totals = torch.zeros_like(priors)
        for rows in row_blocks(images, width):
            shares = reweighted(posteriors[rows], priors[labels[rows]])
            class_totals.index_add_(0, labels[rows].flatten(), shares.flatten())
        previous_priors, priors = priors, class_totals / images
        if float((priors - previous_priors).abs().max()) <= _TOLERANCE:
            break
    return priors


def reweighted(posteriors: Tensor, weights: Tensor) -> Tensor:
    """Multiply posteriors (B, C) by class weights, and normalise each row; float64.

    `weights`, (C,) or (B, C), are new priors divided by old priors. A row whose products are all 0
    is returned unchanged.
    """
    double_posteriors = posteriors.double()
    products = double_posteriors * weights.double()
    total = products.sum(dim=1, keepdim=True)
    return torch.where(
        total > 0, products / total.clamp_min(torch.finfo(torch.float64).tiny), double_posteriors
    )


_SUPPORT = 0.5
"""A class with fewer than this number of estimated images probably does not occur at all."""


def unsupported_classes(labels: Tensor, probabilities: Tensor, classes: int) -> tuple[int, ...]:
    """Return the classes, of C `classes`, with fewer than 0.5 estimated images, ascending.

    The estimated number of images of a class is N times its prior from `estimate_priors`. `labels`
    (N, K) are the K likeliest classes of each image, and `probabilities` (N, K) the probabilities
    of these classes, which are assumed to sum to 1. Raises `ValueError` for different shapes,
    invalid labels or invalid probabilities.
    """
    _check(labels, probabilities, classes)
    counts = len(labels) * estimate_priors(probabilities, labels, classes)
    return tuple((counts < _SUPPORT).nonzero().flatten().tolist())


def _check(labels: Tensor, probabilities: Tensor, classes: int) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape:
        raise ValueError("labels and probabilities must be matrices (N, K) of one shape")
    if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        raise ValueError("a probability is not between 0 and 1")
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(f"a label is none of {classes} classes")
