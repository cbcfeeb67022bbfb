"""How varied unit vectors are."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mean_pairwise_cosine(features: Tensor, counts: Tensor) -> float:
    """The mean cosine of two different ones of n vectors; NaN for fewer than two.

    Args:
        features: distinct unit rows (U, D).
        counts: how often each occurs (U,); n is their sum.
    """
    total = float(counts.sum())
    if total < 2:
        return math.nan
    length = float((features.double() * counts.double().unsqueeze(1)).sum(dim=0).square().sum())
    return (length - total) / (total * (total - 1))


def effective_rank(features: Tensor, counts: Tensor) -> float:
    """The exponential of the entropy of the singular values' shares.

    1 if all rows are equal, at most D.

    Roy and Vetterli (2007), EUSIPCO: The effective rank. Rows are not centred.

    Args:
        features: unit rows (U, D), U > 0.
        counts: how often each occurs (U,).
    """
    rows = features.double() * counts.double().sqrt().unsqueeze(1)
    values = torch.linalg.eigvalsh(rows.T @ rows).clamp_min(0).sqrt()
    return float(torch.special.entr(values / values.sum()).sum().exp())
