"""Initial prototypes: each class's template feature, moved towards clusters of its texts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

ITERATIONS = 10
SAME = 1e-4
"""Text features with a smaller cosine distance count as equal: rounding can cause such a
distance."""


def cluster_centres(features: Tensor, count: int) -> Tensor:
    """Return at most `count` unit centres (k, D) of unit features (n, D) by spherical k-means.

    There are fewer centres if there are fewer distinct features. The result is deterministic: the
    first centre is the feature nearest to the mean, and each further centre is the feature farthest
    from the previous ones (Gonzalez 1985). `ITERATIONS` k-means iterations follow (Dhillon and
    Modha 2001).
    """
    centres = _farthest_points(features, count)
    for _ in range(ITERATIONS if len(centres) else 0):
        nearest_centres = (features @ centres.T).argmax(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest_centres, features)
        lengths = sums.norm(dim=1, keepdim=True)
        centres = torch.where(lengths > 0, sums / lengths, centres)
    return centres


def _farthest_points(features: Tensor, count: int) -> Tensor:
    if not len(features):
        return features
    indices = [int((features @ features.mean(dim=0)).argmax())]
    nearest_cosines = features @ features[indices[0]]
    while len(indices) < count and float(nearest_cosines.min()) < 1 - SAME:
        indices.append(int(nearest_cosines.argmin()))
        nearest_cosines = torch.maximum(nearest_cosines, features @ features[indices[-1]])
    return features[indices]


def moved(rows: Tensor, spread: float, generator: torch.Generator) -> Tensor:
    """Return `rows` (M, D), moved by `spread` in random directions and then normalised.

    The directions are drawn on the CPU.
    """
    directions = torch.randn(rows.shape, generator=generator, dtype=rows.dtype)
    return normalize(rows + spread * normalize(directions, dim=1).to(rows.device), dim=1)


def parted_prototypes(
    templates: Tensor,
    centres: list[Tensor],
    count: int,
    weight: float,
    spread: float,
    generator: torch.Generator,
) -> Tensor:
    """Return initial prototypes (C·count, D) from template features (C, D) and cluster centres.

    Each centre gives one prototype: normalise(template + weight · centre). If a class has fewer
    than `count` centres, the next prototype is the template, and all further ones are the template
    moved by `spread` in random directions.
    """
    fillers = moved(templates.repeat_interleave(count, 0), spread, generator)
    fillers = fillers.view(len(templates), count, -1)
    rows = []
    for template, class_centres, filler in zip(templates, centres, fillers, strict=True):
        towards = normalize(template + weight * class_centres, dim=1)
        rows.append(torch.cat([towards, template.unsqueeze(0), filler])[:count])
    return torch.cat(rows)
