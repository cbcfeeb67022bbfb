"""High-dimensional points in two dimensions, always the same two."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Projection:
    """Points on their first two principal components."""

    points: Tensor
    """(n, 2) float64, around the origin."""
    shares: tuple[float, float]
    """Of the points' variance, that each axis shows."""


def project(rows: Tensor) -> Projection:
    """Principal component analysis of n rows (n, D), in float64.

    Each axis points to where its largest loading is positive, so that the same rows give the same
    picture. Directions without variance are zero.
    """
    centred = rows.double() - rows.double().mean(dim=0)
    variances, axes = torch.linalg.eigh(centred.T @ centred)
    variances, axes = variances.flip(0)[:2].clamp_min(0), axes.flip(1)[:, :2]
    largest = axes.abs().argmax(dim=0, keepdim=True)
    axes = axes * torch.where(axes.gather(0, largest) < 0, -1.0, 1.0)
    total = float(centred.square().sum())
    points = torch.zeros(len(rows), 2, dtype=torch.float64)
    points[:, : axes.shape[1]] = centred @ axes
    shares = [float(value) / total if total > 1e-12 else 0.0 for value in variances] + [0.0, 0.0]
    return Projection(points, (shares[0], shares[1]))
