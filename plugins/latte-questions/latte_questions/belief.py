"""Estimate without labels of how often a describer is right, and the weight of its answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_CHANGES = 0.4
"""Assumed share of wrong answers that change if the options are reversed."""
_DOUBT = 0.2
"""Largest probability that a believed describer is wrong more often than right."""
_FEWEST_CONTROLS = 5
_MOST = 0.95
"""Largest estimate of p."""
GRID = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
"""Values of p, the probability that the describer is right."""


@dataclass(frozen=True)
class Answer:
    """Class that a describer chose for images, twice."""

    rows: Tensor
    """(M,) int64: the images."""
    label: int
    options: int
    """Number of classes among the options."""
    agrees: bool
    """True if the mixture without answers gives the images this class."""


@dataclass
class Record:
    """Counts that show without labels how often a describer is right."""

    pairs: int = 0
    """Images that were asked about twice."""
    contradictory: int = 0
    """Those of them whose answers differ."""
    controls: int = 0
    """Questions whose options are unlikely names."""
    passed: int = 0
    """Those of them that were answered by "none of these"."""
    listed: float = 0.0
    """Probability that a control question lists the right class, if CLIP knows nothing."""

    @property
    def posterior(self) -> Tensor:
        """Probability of each p in `GRID`, whose prior is uniform.

        A wrong answer contradicts its pair with probability 0.4, and a right one never does. A
        control question is passed with probability p (1 - `listed`).
        """
        contradiction, passed = _CHANGES * (1 - GRID), GRID * (1 - self.listed)
        log = (
            self.contradictory * contradiction.log()
            + (self.pairs - self.contradictory) * (1 - contradiction).log()
            + self.passed * passed.log()
            + (self.controls - self.passed) * (1 - passed).log()
        )
        return log.softmax(dim=0)

    @property
    def reliability(self) -> float:
        """Probability that an answer which was given twice is right; 0 for a doubtful describer.

        The describer is doubtful if p is below 0.5 with a probability of 20 % or more, if it
        answered fewer than five control questions, or if it passed fewer than a third of them:
        pairs do not show that a consistent describer is wrong.
        """
        weights = self.posterior
        few = self.controls < _FEWEST_CONTROLS or 3 * self.passed < self.controls
        if few or float(weights[GRID < 0.5].sum()) >= _DOUBT:
            return 0.0
        return twice_right(float(GRID[weights.argmax()]))


def twice_right(right: float) -> float:
    """Return the probability that an answer which was given twice is right; p is at most 0.95."""
    right = min(right, _MOST)
    return right / (right + (1 - _CHANGES) * (1 - right))


def evidence(answers: Sequence[Answer], reliability: float, empty: Tensor) -> Tensor | None:
    """Return the log-likelihood ratios of `answers`, added to a copy of the zeros `empty` (N, C).

    An answer is right with the probability `reliability`, and each of the other options has an
    equal share of the rest. Answers that contradict the mixture are left out if the mixture is at
    least as reliable. Two annotators with independent errors agree with the product of their
    reliabilities, so this is the case if the share of agreements is the square of `reliability`
    or larger. Returns None if no answer counts.
    """
    if reliability == 0 or not answers:
        return None
    found = empty.clone()
    for about_one in (True, False):
        own = [one for one in answers if (len(one.rows) == 1) == about_one]
        agreements = (sum(one.agrees for one in own) + 1) / (len(own) + 2)
        for one in own:
            if one.agrees or agreements < reliability**2:
                ratio = reliability * one.options / (1 - reliability)
                found[one.rows, one.label] += math.log(ratio)
    return found
