"""Order of asking: the most typical image of each cluster without an answer.

Hacohen, Dekel, Weinshall: Active Learning on a Budget: Opposite Strategies Suit High and Low
Budgets (ICML 2022), section 3. There are as many clusters as answers with the next ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.order_clusters import clusters_of
from benchmarks.order_problem import AskingProblem

_MOST_CLUSTERS, _LEAST_IMAGES, _NEIGHBOURS = 500, 5, 20


def typiclust_order(problem: AskingProblem, count: int) -> Tensor:
    """Return the images with the highest typicality in clusters with the fewest answers.

    Among clusters with equally many answers, the largest comes first. Clusters of fewer than five
    images come last.
    """
    answered = problem.is_answered.clone()
    number = min(_MOST_CLUSTERS, len(answered), int(answered.sum()) + count)
    clusters = clusters_of(problem.directions, number, problem.generator)
    sizes, distances = clusters.bincount(minlength=number), problem.distances
    rows: list[int] = []
    while len(rows) < count and not bool(answered.all()):
        counts = clusters[answered].bincount(minlength=number).double()
        is_open = clusters[~answered].bincount(minlength=number) > 0
        rank = counts * len(answered) - sizes + 1e9 * (sizes < _LEAST_IMAGES)
        cluster = int(rank.masked_fill(~is_open, torch.inf).argmin())
        members = (clusters == cluster).nonzero().squeeze(1)
        typical = _typicality(distances[members][:, members])
        rows.append(int(members[typical.masked_fill(answered[members], -1).argmax()]))
        answered[rows[-1]] = True
    return torch.tensor(rows, dtype=torch.int64)


def _typicality(distances: Tensor) -> Tensor:
    """Return 1 / mean distance (M,) to the nearest other images of the cluster."""
    if len(distances) == 1:
        return torch.ones(1)
    near = distances.topk(min(_NEIGHBOURS, len(distances) - 1) + 1, largest=False).values[:, 1:]
    return 1 / near.mean(dim=1).clamp_min(1e-6)
