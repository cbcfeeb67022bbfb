"""Estimate, without labels, how often a describer is right, and weight its answers accordingly.

The *mixture* is the Gaussian mixture of `mixture`, fitted without the answers.
"""

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
"""No answer is used if, with at least this probability, the describer is wrong in most cases."""
_FEWEST_CONTROLS = 5
_TAIL = 0.05
"""Probability outside each end of the shown interval of p."""
_MOST = 0.95
"""Largest estimate of the probability that the describer is right."""
GRID = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
"""Values of p, the probability that the describer is right."""
_NO_IMAGES: Mapping[int, float] = MappingProxyType({})


@dataclass(frozen=True)
class PairedAnswer:
    """Class that a describer chose in both questions about an image or a cluster."""

    rows: Tensor
    """(M,) int64: indices of the images that the answer is about."""
    label: int
    options: int
    """Number of classes among the options."""
    agrees: bool
    """True if the labeler's Gaussian mixture, fitted without answers, gives the images this
    class."""


@dataclass
class Record:
    """Counts of a describer's answers, which show without labels how often it is right."""

    pairs: int = 0
    """Number of answered pairs of questions; both questions of a pair are about the same image."""
    contradictory: int = 0
    """Number of pairs whose two answers differ."""
    controls: int = 0
    """Number of answered control questions, whose options are all unlikely names."""
    passed: int = 0
    """Number of control questions that were answered by "none of these", which is right."""
    listed: float = 0.0
    """Probability that a control question lists the right class, if CLIP's labels are random."""

    @property
    def posterior(self) -> Tensor:
        """Posterior of p, the probability that the describer is right, for each p in `GRID`.

        The prior is uniform. The two answers of a pair differ with probability 0.4 (1 - p): only a
        wrong answer changes, with probability 0.4. A control question is answered by "none of
        these" with probability p (1 - `listed`), where `listed` is the probability that it lists
        the right class.
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
    def failed_controls(self) -> str:
        """Reason why the control questions rule out all answers; empty if they do not.

        Pairs alone are not enough: a describer that is always wrong in the same way does not
        contradict itself.
        """
        if self.controls < _FEWEST_CONTROLS:
            return f"{self.controls} control questions answered, fewer than {_FEWEST_CONTROLS}"
        if 3 * self.passed < self.controls:
            return f"{self.passed} of {self.controls} control questions right, fewer than a third"
        return ""

    @property
    def doubt(self) -> str:
        """Reason why the describer is not trusted; empty if it is trusted.

        It is not trusted if it failed the control questions, or if the probability that fewer than
        half of its answers are right is at least 20 %.
        """
        mostly_wrong = float(self.posterior[GRID < 0.5].sum())
        if self.failed_controls or mostly_wrong < _DOUBT:
            return self.failed_controls
        return f"wrong in most cases with a probability of {_percent(mostly_wrong)} %"

    @property
    def reliability(self) -> float:
        """Probability that the same answer to both questions is right; 0 if there is a `doubt`."""
        return 0.0 if self.doubt else twice_right(self.right)

    def __str__(self) -> str:
        """Return a sentence on the `doubt`, if any, and one on the share of right answers."""
        sentences = [f"The describer is ignored: {self.doubt}."] if self.doubt else []
        if self.pairs + self.controls:
            sums, ends = self.posterior.cumsum(dim=0), (_TAIL, 1 - _TAIL)
            low, high = (_percent(float(GRID[int((sums < end).sum())])) for end in ends)
            best = _percent(float(GRID[self.posterior.argmax()]))
            sentences.append(
                f"An estimated {best} % of the describer's answers are right "
                f"(90 % interval: {low} to {high} %)."
            )
        return " ".join(sentences)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def twice_right(right: float) -> float:
    """Return the probability that an answer is right if it was given to both questions of a pair.

    `right` is the probability that a single answer is right; more than 0.95 counts as 0.95.
    """
    right = min(right, _MOST)
    return right / (right + (1 - CHANGES) * (1 - right))


def within_limits(share: float, options: int) -> float:
    """Return the probability `share`, limited to [1 / (options + 1), `twice_right(_MOST)`].

    Within these limits, an answer neither counts against its class nor is certain.
    """
    return min(max(share, 1 / (options + 1)), twice_right(_MOST))


def evidence(
    answers: Sequence[PairedAnswer],
    reliability: float,
    empty: Tensor,
    of_images: Mapping[int, float] = _NO_IMAGES,
) -> Tensor | None:
    """Return the log-likelihood ratios (N, C) of `answers`; `empty` has zeros (N, C).

    Returns None without answers, or if `reliability` is 0. An answer is right with the probability
    `reliability`, or with the probability in `of_images` for its image. The other options are
    equally probable.

    Answers that contradict the mixture are left out if the mixture seems at least as reliable as
    the describer: if the share of answers that agree with it is at least `reliability` squared.
    With independent errors, this share is the product of both reliabilities.
    """
    if reliability == 0 or not answers:
        return None
    log_ratios = empty.clone()
    for about_one in (True, False):
        same_kind = [answer for answer in answers if (len(answer.rows) == 1) == about_one]
        agreements = (sum(answer.agrees for answer in same_kind) + 1) / (len(same_kind) + 2)
        for answer in same_kind:
            if answer.agrees or agreements < reliability**2:
                right = (
                    of_images.get(int(answer.rows[0]), reliability) if about_one else reliability
                )
                ratio = right * answer.options / (1 - right)
                log_ratios[answer.rows, answer.label] += math.log(ratio)
    return log_ratios
