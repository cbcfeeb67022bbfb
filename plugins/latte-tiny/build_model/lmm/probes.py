"""Linear probes that predict colours, background and texture from image features."""

from __future__ import annotations

import torch
from torch import Tensor

from .looks import COLOURS, Looks

RIDGE = 0.02
COUNT = 2 * len(COLOURS) + 3


def indicators(looks: list[Looks]) -> Tensor:
    """Return 0/1 indicators (N, COUNT): colours, background colour, plain, smooth, textured."""
    rows = []
    for look in looks:
        row = [float(colour in look.colours) for colour in COLOURS]
        row += [float(colour == look.ground) for colour in COLOURS]
        row += [float(look.plain), float(look.texture == "smooth")]
        rows.append([*row, float(look.texture == "textured")])
    return torch.tensor(rows)


def fit(pooled: Tensor, looks: list[Looks], center: Tensor) -> Tensor:
    """Return directions (COUNT, 1280) whose products with centred features predict `looks`.

    The predictions have unit variance.
    """
    centred, wanted = pooled - center, indicators(looks)
    covariance = centred.T @ centred / len(centred)
    scale = RIDGE * covariance.diagonal().mean() * torch.eye(len(center))
    directions = torch.linalg.solve(
        covariance + scale, centred.T @ (wanted - wanted.mean(0)) / len(centred)
    ).T
    return directions / (centred @ directions.T).std(0).clamp_min(1e-6)[:, None]
