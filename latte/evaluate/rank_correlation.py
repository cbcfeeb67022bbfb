"""Spearman's rank correlation rho, with its confidence interval and its chance level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 5
"""Smallest number of pairs: with fewer, even a perfect correlation often occurs by chance."""
RESAMPLES = 2000
PERMUTATIONS = 10_000


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho over pairs of numbers."""

    pairs: int
    rho: float = math.nan
    """NaN if one of the two numbers is constant, or if there are fewer than `FEWEST` pairs."""
    by_chance: float = math.nan
    """The |rho| that at most 5 % of random pairings reach; see `chance_level`."""
    low: float = math.nan
    """Lower end of the 95 % interval of rho; NaN without an interval."""
    high: float = math.nan
    """Upper end of the 95 % interval of rho; NaN without an interval."""


def correlate(values: Sequence[float], gains: Sequence[float], interval: bool) -> Correlation:
    """Return Spearman's rho over the pairs in which both numbers are finite.

    If `interval` is True, the result includes the 95 % interval of rho. If most values are equal,
    the interval excludes 0 too often; `Correlation.by_chance` stays valid.
    """
    pairs = torch.tensor([values, gains], dtype=torch.float64)
    first, second = pairs[:, pairs.isfinite().all(dim=0)]
    if len(first) < FEWEST:
        return Correlation(len(first))
    rho = float(spearman(first, second))
    if math.isnan(rho):
        return Correlation(len(first))
    ends = bootstrap_interval(first, second) if interval else (math.nan, math.nan)
    return Correlation(len(first), rho, chance_level(first, second), *ends)


def bootstrap_interval(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of rho over n pairs, with a fixed seed.

    Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13. Resamples in which
    `first` or `second` is constant have no rho, and are left out.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(first), (RESAMPLES, len(first)), generator=generator)
    resampled = spearman(first[drawn], second[drawn])
    low, high = torch.nanquantile(resampled, torch.tensor([0.025, 0.975]).double()).tolist()
    return low, high


def chance_level(first: Tensor, second: Tensor) -> float:
    """Return the smallest |rho| that at most 5 % of random pairings of two (n,) tensors reach.

    This is a permutation test with a fixed seed. Unlike the bootstrap, it is valid with many equal
    values. The result is infinite if more than 5 % of the pairings reach the largest |rho|, which
    happens if nearly all values are equal.
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
