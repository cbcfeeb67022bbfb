"""Measures of order: Spearman's rank correlation rho, and the area under the ROC curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

FEWEST = 5
"""Smallest number of pairs: with fewer, even a perfect correlation often occurs by chance."""


def correlation_text(values: Sequence[float], gains: Sequence[float]) -> str:
    """Return Spearman's rho over the pairs in which both numbers are finite, such as `+0.12`.

    Returns `–` if one of the two numbers is constant, or if there are fewer than `FEWEST` pairs.
    """
    pairs = torch.tensor([values, gains], dtype=torch.float64)
    first, second = pairs[:, pairs.isfinite().all(dim=0)]
    rho = float(spearman(first, second)) if len(first) >= FEWEST else math.nan
    return "–" if math.isnan(rho) else f"{rho:+.2f}"


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """Return the rank correlation of two tensors (n,).

    Spearman (1904); equal values share the mean of their ranks. A constant tensor gives NaN.
    """
    ranks, other_ranks = _centred(average_ranks(first)), _centred(average_ranks(second))
    lengths = ranks.square().sum() * other_ranks.square().sum()
    rho = (ranks * other_ranks).sum() / lengths.sqrt()
    return rho.clamp(-1, 1).where(lengths > 0, torch.nan)


def separation(known_scores: Tensor, unknown_scores: Tensor) -> float:
    """Return the area under the ROC curve (AUROC): 0.5 is chance, 1 is perfect.

    It is the share of all A * B pairs in which the score from `known` (A,) is above the score from
    `unknown` (B,); ties count half.
    """
    order = unknown_scores.sort().values
    below = torch.searchsorted(order, known_scores, right=False)
    up_to = torch.searchsorted(order, known_scores, right=True)
    return float((below + up_to).double().mean()) / 2 / len(unknown_scores)


def average_ranks(values: Tensor) -> Tensor:
    """Return the ranks 1..n of values (n,); equal values share the mean of their ranks."""
    values = values.contiguous()
    ordered = values.sort().values
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    return (below + up_to + 1).double() / 2


def _centred(ranks: Tensor) -> Tensor:
    return ranks - ranks.mean()
