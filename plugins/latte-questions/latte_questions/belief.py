"""Estimate without labels of how often a describer is right, and the weight of its answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

NONE = -1
"""Answer that names no class."""
CHANGES = 0.4
"""Assumed share of wrong answers that change if the options are reversed."""
_DOUBT = 0.2
"""Largest probability that a believed describer is wrong more often than right."""
_FEWEST_CONTROLS = 5
_MOST = 0.95
"""Largest estimate of p."""
GRID = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
"""Values of p, the probability that the describer is right."""
_NO_IMAGES: Mapping[int, float] = MappingProxyType({})


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
        contradiction, passed = CHANGES * (1 - GRID), GRID * (1 - self.listed)
        log = (
            self.contradictory * contradiction.log()
            + (self.pairs - self.contradictory) * (1 - contradiction).log()
            + self.passed * passed.log()
            + (self.controls - self.passed) * (1 - passed).log()
        )
        return log.softmax(dim=0)

    @property
    def right(self) -> float:
        """Most probable p, at most 0.95."""
        return min(float(GRID[self.posterior.argmax()]), _MOST)

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
        return twice_right(self.right)


def twice_right(right: float) -> float:
    """Return the probability that an answer which was given twice is right; p is at most 0.95."""
    right = min(right, _MOST)
    return right / (right + (1 - CHANGES) * (1 - right))


def within_limits(share: float, options: int) -> float:
    """Return a reliability at which the answer neither speaks against itself nor is certain."""
    return min(max(share, 1 / (options + 1)), twice_right(_MOST))


def evidence(
    answers: Sequence[Answer],
    reliability: float,
    empty: Tensor,
    of_images: Mapping[int, float] = _NO_IMAGES,
) -> Tensor | None:
    """Return the log-likelihood ratios of `answers`, added to a copy of the zeros `empty` (N, C).

    An answer is right with the probability `reliability`, or that of its image in `of_images`, and
    each of the other options has an equal share of the rest. Answers that contradict the mixture
    are left out if the mixture is at least as reliable. Two annotators with independent errors
    agree with the product of their reliabilities, so this is the case if the share of agreements is
    the square of `reliability` or larger. Returns None if no answer counts.
    """
    if reliability == 0 or not answers:
        return None
    found = empty.clone()
    for about_one in (True, False):
        own = [one for one in answers if (len(one.rows) == 1) == about_one]
        agreements = (sum(one.agrees for one in own) + 1) / (len(own) + 2)
        for one in own:
            if one.agrees or agreements < reliability**2:
                right = of_images.get(int(one.rows[0]), reliability) if about_one else reliability
                ratio = right * one.options / (1 - right)
                found[one.rows, one.label] += math.log(ratio)
    return found
