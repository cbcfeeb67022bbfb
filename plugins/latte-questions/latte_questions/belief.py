"""Estimate without labels of how often a describer is right, and the weight of its answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_CHANGES = 0.6
"""Assumed share of wrong answers that change if the options are reversed."""
_DOUBT = 0.1
"""Probability with which the describer may be worse than the estimate."""
_LEAST = 0.5
"""Reliability up to which answers count for nothing."""
_GRID = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)


@dataclass(frozen=True)
class Answer:
    """Class that a describer chose for images, twice."""

    rows: Tensor
    """(M,) int64: the images."""
    options: int
    """Number of options of the question."""
    label: int


@dataclass
class Record:
    """Counts that show without labels how reliable a describer is."""

    pairs: int = 0
    """Images that were asked about twice."""
    contradictory: int = 0
    """Those of them whose answers differ."""
    controls: int = 0
    """Questions whose options exclude all likely classes."""
    passed: int = 0
    """Those of them that were answered by "none of these"."""

    @property
    def reliability(self) -> float:
        """Share of right answers that the describer reaches with a probability of 90 %.

        The prior is uniform. A wrong answer contradicts its pair with probability 0.6, and a right
        one never does. A control question is passed with the probability of a right answer.
        """
        contradiction, right = _CHANGES * (1 - _GRID), _GRID
        log = (
            self.contradictory * contradiction.log()
            + (self.pairs - self.contradictory) * (1 - contradiction).log()
            + self.passed * right.log()
            + (self.controls - self.passed) * (1 - right).log()
        )
        below = log.softmax(dim=0).cumsum(dim=0)
        return float(_GRID[int((below < _DOUBT).sum())])


def evidence(answers: Sequence[Answer], reliability: float, empty: Tensor) -> Tensor | None:
    """Return the log-likelihood ratios of `answers`, added to a copy of the zeros `empty` (N, C).

    A right answer has the probability `reliability`, and each of the other options has an equal
    share of the rest. Returns None if no answer counts.
    """
    if reliability <= _LEAST or not answers:
        return None
    found = empty.clone()
    for one in answers:
        found[one.rows, one.label] += math.log(reliability * one.options / (1 - reliability))
    return found
