"""Whether two figures go together: Spearman's rank correlation, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 5
"""Below so many pairs no correlation is given: even a perfect one comes about by chance."""
RESAMPLES = 2000
PERMUTATIONS = 10_000


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho over pairs of figures."""

    pairs: int
    rho: float = math.nan
    """NaN where one figure is the same everywhere, or where there are fewer than `FEWEST` pairs."""
    by_chance: float = math.nan
    """What |rho| at most one of twenty unrelated figures reaches: see `chance_level`."""
    low: float = math.nan
    """Ends of the 95 % interval of rho; NaN where none was asked for."""
    high: float = math.nan


def correlate(values: Sequence[float], gains: Sequence[float], interval: bool) -> Correlation:
    """Spearman's rho of the pairs in which both figures are numbers, with a 95 % `interval` or not.

    The interval can miss 0 by chance where most values are equal; `by_chance` then still holds.
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
    """The 95 % percentile bootstrap interval of rho over n pairs, with a fixed seed.

    Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13. Resamples in which a
    figure is the same everywhere have no rho, and are left out.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(first), (RESAMPLES, len(first)), generator=generator)
    resampled = spearman(first[drawn], second[drawn])
    low, high = torch.nanquantile(resampled, torch.tensor([0.025, 0.975]).double()).tolist()
    return low, high


def chance_level(first: Tensor, second: Tensor) -> float:
    """The smallest |rho| that at most one of twenty random pairings of these figures (n) reaches.

    A permutation test with a fixed seed: unlike the bootstrap it is right with many equal values.
    Infinite where even the largest |rho| comes about more often, as where hardly anything varies.
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
    """Rank correlation along the last dimension of (..., n): (...); NaN where one is constant.

    Spearman (1904); equal values share the mean of their ranks.
    """
    one, other = _centred(average_ranks(first)), _centred(average_ranks(second))
    lengths = one.square().sum(dim=-1) * other.square().sum(dim=-1)
    rho = (one * other).sum(dim=-1) / lengths.sqrt()
    return rho.clamp(-1, 1).where(lengths > 0, torch.nan)


def average_ranks(values: Tensor) -> Tensor:
    """Ranks 1..n along the last dimension of (..., n); equal values share their mean rank."""
    values = values.contiguous()
    ordered = values.sort(dim=-1).values
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    return (below + up_to + 1).double() / 2


def _centred(ranks: Tensor) -> Tensor:
    return ranks - ranks.mean(dim=-1, keepdim=True)
