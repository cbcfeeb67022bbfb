"""A Gaussian for each class, fitted to all images at once under a text prior.

The method is TransCLIP-ZS (Zanella, Gherin, Ben Ayed: Boosting Vision-Language Models with
Transduction, NeurIPS 2024; its steps are in GUIDE.md of the released code, "Iterative
Optimization"): assignments, means and variances are updated in turn, and assignments hold to three
things at a time: the text prior (its KL divergence, lambda = 1), the likelihood of the class's
Gaussian, and the assignments of an image's neighbours (a Laplacian).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte_transductive.options import TransductiveOptions

ASSIGNMENT_STEPS = 5
"""Updates of all assignments between two updates of the Gaussians, as in the released code."""

SMALLEST_VARIANCE = 1e-7


@dataclass(frozen=True)
class Mixture:
    """What N images, C classes and D numbers a feature came to."""

    assignments: Tensor
    """(N, C): the probability of each class; rows sum to 1."""
    means: Tensor
    """(C, D): unit rows."""
    variances: Tensor
    """(D,): of each of a feature's numbers, the same for all classes."""


def log_prior(logits: Tensor, debias: bool) -> Tensor:
    """Scaled similarities (N, C) -> log-probabilities (N, C).

    With `debias`, each class's mean over the images is taken out before.
    """
    return (logits - logits.mean(dim=0) if debias else logits).log_softmax(dim=1)


def fit_mixture(
    images: Tensor, prior: Tensor, graph: Tensor, options: TransductiveOptions
) -> Mixture:
    """Fit unit features (N, D) under log-probabilities `prior` (N, C) and a `neighbour_graph`."""
    means = _first_means(images, prior, options.anchors)
    variances = torch.full_like(images[0], 1 / images.shape[1])
    assignments = prior.exp()
    for _ in range(options.iterations):
        evidence = log_likelihoods(images, means, variances)
        evidence.mul_(options.likelihood_weight).add_(prior)
        for _ in range(ASSIGNMENT_STEPS):
            assignments = torch.addmm(
                evidence, graph, assignments, alpha=options.neighbour_weight
            ).softmax(dim=1)
        sums = assignments.T @ images
        lengths = sums.norm(dim=1, keepdim=True)
        # A class without any image keeps its mean.
        means = torch.where(lengths > 0, sums / lengths, means)
        variances = _variances(images, assignments.sum(dim=0), sums, means)
    return Mixture(assignments, means, variances)


def log_likelihoods(images: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    """Features (N, D), class means (C, D) and variances (D,) -> (N, C).

    What all classes have in common is left out.
    """
    rates = means / variances
    return torch.addmm((means * rates).sum(dim=1), images, rates.T, beta=-0.5)


def unseen_rows(
    mixture: Mixture, prior_rows: Tensor, logit_scale: Tensor, likelihood_weight: float
) -> Tensor:
    """A unit row (C, D) a class, whose cosine with an image stands for the image's evidence.

    For an image x that took no part and has no neighbours, the logarithm of class c's probability
    is w_c · x plus a number of the class alone, with w_c = likelihood_weight · mean_c / variances +
    logit_scale · prior row c (C, D). The unit vector along w_c leaves out the length and that
    number, which a classifier by cosine cannot have.
    """
    rates = mixture.means * (likelihood_weight / mixture.variances)
    return normalize(rates + logit_scale * prior_rows, dim=1)


def _first_means(images: Tensor, prior: Tensor, anchors: int) -> Tensor:
    """Of each class's images of highest prior, weighted by it (TransCLIP's first mu)."""
    highest, places = prior.topk(min(anchors, len(images)), dim=0)
    # softmax of logarithms: shares of the probabilities, however small all of them are.
    weights = highest.softmax(dim=0)
    sums = torch.zeros_like(images[:1]).repeat(prior.shape[1], 1)
    for weight, place in zip(weights, places, strict=True):
        sums.addcmul_(weight[:, None], images[place])
    return normalize(sums, dim=1)


def _variances(images: Tensor, shares: Tensor, sums: Tensor, means: Tensor) -> Tensor:
    """Mean squared distance (D,) of images (N, D) from the means (C, D) of their classes.

    `shares` (C,) and `sums` (C, D) are what is assigned to each class: images, and their features.
    """
    squares = images.square().sum(dim=0) - 2 * (sums * means).sum(dim=0) + shares @ means.square()
    return (squares / len(images)).clamp_min(SMALLEST_VARIANCE)
