"""Diagonal Gaussians, which StatA and TransCLIP fit to the images of each class."""

from __future__ import annotations

from torch import Tensor

SMALLEST_VARIANCE = 1e-7


def squared_distances(images: Tensor, shares: Tensor, means: Tensor) -> Tensor:
    """Return sums (C, D) of the images' squared distances to means, weighted by shares (N, C)."""
    counts = shares.sum(dim=0).unsqueeze(1)
    crossed = 2 * means * (shares.T @ images)
    return (shares.T @ images.square() - crossed + counts * means.square()).clamp_min(0)


def log_densities(images: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    """Return log-likelihoods (N, C) of Gaussians with variances (C, D), without the constant."""
    rates = 1 / variances
    constant = (means.square() * rates).sum(dim=1) + variances.log().sum(dim=1)
    return images @ (means * rates).T - 0.5 * (images.square() @ rates.T) - 0.5 * constant
