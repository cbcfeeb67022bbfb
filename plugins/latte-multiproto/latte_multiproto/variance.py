"""Variance of a class's images, and the share of the variance that the prototypes explain."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class ClassView:
    """Images of one class by nearest prototype, with their total and within-group variance."""

    nearest: tuple[Tensor, ...]
    """One tensor per prototype: indices of its images, nearest first."""
    total: float | None
    """Mean squared distance of the class's unit features to their mean; None without images."""
    within: float | None
    """Mean squared distance of the class's unit features to the means of their groups; None without
    images."""
    likeness: float | None
    """Mean cosine of all pairs of the class's prototypes; None if the class has one prototype."""

    @property
    def explained(self) -> float | None:
        """Share of the variance that the prototypes explain, in [0, 1]; None if it is undefined."""
        if self.total is None or self.within is None or self.total <= 1e-12:
            return None
        return 1 - self.within / self.total


def class_view(
    prototypes: Tensor, features: Tensor, rows: Tensor, bias: Tensor | None = None
) -> ClassView:
    """Return the statistics of one class with prototypes (K, D) and their `bias` (K,), if any.

    `rows` (n,) are the indices in `features` (N, D) of the images whose label is the class.
    """
    class_features = features[rows]
    similarities = (
        class_features @ prototypes.T if bias is None else class_features @ prototypes.T + bias
    )
    nearest_prototypes = similarities.argmax(dim=1) if len(class_features) else rows
    nearest, within = [], 0.0
    for index in range(len(prototypes)):
        members = (nearest_prototypes == index).nonzero().squeeze(1)
        order = similarities[members, index].argsort(descending=True, stable=True)
        nearest.append(rows[members[order]])
        within += _scatter(class_features[members])
    if not len(class_features):
        return ClassView(tuple(nearest), None, None, _likeness(prototypes))
    total = _scatter(class_features)
    return ClassView(
        tuple(nearest),
        total / len(class_features),
        min(within, total) / len(class_features),
        _likeness(prototypes),
    )


def _scatter(features: Tensor) -> float:
    if not len(features):
        return 0.0
    return float((features - features.mean(dim=0)).square().sum())


def _likeness(prototypes: Tensor) -> float | None:
    count = len(prototypes)
    if count < 2:
        return None
    pairs = torch.triu_indices(count, count, offset=1)
    directions = normalize(prototypes, dim=1)
    return float((directions @ directions.T)[pairs[0], pairs[1]].mean())
