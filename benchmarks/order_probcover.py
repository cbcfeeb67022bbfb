"""Order of asking: the largest number of images in balls around answered ones.

Yehuda, Dekel, Hacohen, Weinshall: Active Learning Through a Covering Lens (NeurIPS 2022),
algorithm 1. The radius is the largest at which 95 % of the balls are pure in the labels of k-means
with as many clusters as classes (section 3.3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.order_clusters import clusters_of
from benchmarks.order_problem import AskingProblem

_PURITY, _RADII = 0.95, 100


def probcover_order(problem: AskingProblem, count: int) -> Tensor:
    """Return the images whose balls have most images in no ball of an answered image."""
    distances, answered = problem.distances, problem.is_answered.clone()
    clusters = clusters_of(problem.directions, problem.classes, problem.generator)
    near = distances <= _radius(distances, clusters)
    covered = near[answered].any(dim=0)
    rows: list[int] = []
    while len(rows) < count and not bool(answered.all()):
        added = (near & ~covered).sum(dim=1).masked_fill(answered, -1)
        rows.append(int(added.argmax()))
        answered[rows[-1]] = True
        covered |= near[rows[-1]]
    return torch.tensor(rows, dtype=torch.int64)


def _radius(distances: Tensor, clusters: Tensor) -> float:
    """Return the largest radius at which the share of pure balls is at least `_PURITY`."""
    differs = clusters.unsqueeze(0) != clusters.unsqueeze(1)
    nearest_other = distances.masked_fill(~differs, torch.inf).amin(dim=1)
    radii = torch.linspace(0, float(distances.max()), _RADII)
    pure = (nearest_other.unsqueeze(0) > radii.unsqueeze(1)).double().mean(dim=1)
    return float(radii[pure >= _PURITY].max())
