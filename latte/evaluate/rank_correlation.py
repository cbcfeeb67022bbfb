"""Spearman's rank correlation rho, with its chance level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 5
"""Smallest number of pairs: with fewer, even a perfect correlation often occurs by chance."""
PERMUTATIONS = 10_000


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho over pairs of numbers."""

    pairs: int
    rho: float = math.nan
    """NaN if one of the two numbers is constant, or if there are fewer than `FEWEST` pairs."""
    by_chance: float = math.nan
    """The |rho| that at most 5 % of random pairings reach; see `chance_level`."""


def correlate(values: Sequence[float], gains: Sequence[float]) -> Correlation:
    """Return Spearman's rho over the pairs in which both numbers are finite."""
    pairs = torch.tensor([values, gains], dtype=torch.float64)
    first, second = pairs[:, pairs.isfinite().all(dim=0)]
    if len(first) < FEWEST:
        return Correlation(len(first))
    rho = float(spearman(first, second))
    if math.isnan(rho):
        return Correlation(len(first))
    return Correlation(len(first), rho, chance_level(first, second))


def chance_level(first: Tensor, second: Tensor) -> float:
    """Return the smallest |rho| that at most 5 % of random pairings of two (n,) tensors reach.

    This is a permutation test with a fixed seed. It is valid with many equal values. The result is
    infinite if more than 5 % of the pairings reach the largest |rho|, which happens if nearly all
    values are equal.
    """
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(PERMUTATIONS, len(first), generator=generator).argsort(dim=1)
    one, other = (_centred(average_ranks(figures)) for figures in (first, second))
    rho = other[order] @ one / (one.norm() * other.norm())
    levels, repeats = torch.unique((rho.abs() * 1e9).round(), return_counts=True)
    reached = repeats.flip(0).cumsum(0).flip(0) / PERMUTATIONS
    rare = levels[reached <= 0.05]
    return float(rare[0]) / 1e9 if len(rare) else math.inf


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """Return the rank correlation (...) along the last dimension of two tensors (..., n).

    Spearman (1904); equal values share the mean of their ranks. A constant tensor gives NaN.
    """
    one, other = _centred(average_ranks(first)), _centred(average_ranks(second))
    lengths = one.square().sum(dim=-1) * other.square().sum(dim=-1)
    rho = (one * other).sum(dim=-1) / lengths.sqrt()
    return rho.clamp(-1, 1).where(lengths > 0, torch.nan)


def average_ranks(values: Tensor) -> Tensor:
    """Return ranks 1..n along the last dimension of (..., n); equal values share the mean rank."""
    values = values.contiguous()
    ordered = values.sort(dim=-1).values
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    return (below + up_to + 1).double() / 2


def _centred(ranks: Tensor) -> Tensor:
    return ranks - ranks.mean(dim=-1, keepdim=True)
