"""K-means of images, for the orders of asking that need clusters."""

from __future__ import annotations

import torch
from torch import Tensor

_ITERATIONS = 30


def clusters_of(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the cluster (N,) of each row of `points` (N, D), by Lloyd's k-means."""
    centres = points[spread_rows(points, count, generator)]
    labels = torch.cdist(points, centres).argmin(dim=1)
    for _ in range(_ITERATIONS):
        sizes = labels.bincount(minlength=len(centres)).unsqueeze(1)
        sums = torch.zeros_like(centres).index_add_(0, labels, points)
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
        changed = torch.cdist(points, centres).argmin(dim=1)
        if torch.equal(changed, labels):
            break
        labels = changed
    return labels


def spread_rows(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` rows by the seeding of k-means++ (Arthur, Vassilvitskii, SODA 2007)."""
    rows = [int(torch.randint(len(points), (1,), generator=generator))]
    nearest = (points - points[rows[0]]).square().sum(dim=1)
    while len(rows) < min(count, len(points)):
        if float(nearest.sum()) == 0:
            break
        rows.append(int(torch.multinomial(nearest, 1, generator=generator)))
        nearest = nearest.minimum((points - points[rows[-1]]).square().sum(dim=1))
    return torch.tensor(rows)
