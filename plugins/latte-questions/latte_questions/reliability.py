"""Reliability of a describer's answers: how often it is right, in all and about each class.

Control questions, whose answers are known, give the first estimate. Every answer about an image
adds to it: it is compared with what the images and the earlier answers say of this image, as two
annotators are in Dawid and Skene (1979), because neither is known to be right. A class that few
answers name has the reliability of all answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

NONE = -1
"""Answer that names no class."""
GRID = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
"""Values of p, the probability that an answer is right."""
MISLED = torch.linspace(0, 1, 11, dtype=torch.float64)
"""Values of m, the share of images whose probabilities say nothing."""
_CLASS_PRIOR = 10.0
"""Number of answers as which the reliability of all answers counts for each class."""
_MOST = 0.95
"""Largest reliability."""
_DOUBT = 0.2
"""No answer is used if, with at least this probability, the describer is wrong in most cases."""
_FEWEST_CONTROLS = 5
_TAIL = 0.05
"""Probability outside each end of the shown interval of p."""


@dataclass(frozen=True)
class ImageAnswer:
    """Answer to the question which of some classes an image shows."""

    row: int
    """Index of the image."""
    label: int
    """The chosen class."""
    options: int
    """Number of classes to choose from."""
    expected: float
    """Probability of this class among the options, by the images and by earlier answers."""


@dataclass
class Record:
    """A describer's answers, which show without labels how often it is right."""

    controls: int = 0
    """Number of answered control questions."""
    passed: int = 0
    """Number of control questions with the right answer."""
    answers: list[ImageAnswer] = field(default_factory=list)

    @property
    def posterior(self) -> Tensor:
        """Posterior of p for each p in `GRID`; the prior is p (1 - p)."""
        return self._joint.sum(dim=1)

    @property
    def _joint(self) -> Tensor:
        """Posterior (99, 11) of p and m, each pair of `GRID` and `MISLED`; m has an even prior.

        An answer is right with probability p; then it is the class that the image shows. A wrong
        answer is each other option with the same probability.
        """
        failed = self.controls - self.passed
        of_controls = (1 + self.passed) * GRID.log() + (1 + failed) * (1 - GRID).log()
        right, wrong = self._likelihoods(MISLED)
        trust = GRID.view(-1, 1, 1)
        of_answers = (trust * right + (1 - trust) * wrong).log().sum(dim=1)
        joint: Tensor = (of_controls.unsqueeze(1) + of_answers).flatten().softmax(dim=0)
        return joint.view(len(GRID), len(MISLED))

    def _likelihoods(self, misled: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probability of each answer (A, M) if it is right, and if it is wrong."""
        expected, options = (
            torch.tensor(values, dtype=torch.float64).unsqueeze(1)
            for values in (
                [answer.expected for answer in self.answers],
                [answer.options for answer in self.answers],
            )
        )
        right = (1 - misled) * expected + misled / options
        return right, (1 - right) / (options - 1).clamp_min(1)

    @property
    def right(self) -> float:
        """Mean of p, at most 0.95."""
        return min(float(GRID @ self.posterior), _MOST)

    @property
    def failed_controls(self) -> str:
        """Reason why the control questions rule out all answers; empty if they do not.

        Answers about images alone are not enough: a describer that repeats the labels of CLIP, or
        answers where CLIP knows nothing, seems right.
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
    def reliabilities(self) -> Tensor:
        """Probability (A,) that each answer is right, whether or not the describer is in doubt.

        It follows from the share of right answers, in all and about the class that the answer
        names, and from what the images and the earlier answers say of the image.
        """
        misled = self._joint.sum(dim=0) @ MISLED
        right, wrong = (part.squeeze(1) for part in self._likelihoods(misled.view(1)))
        labels = torch.tensor([answer.label for answer in self.answers])
        _, classes, counts = torch.unique(labels, return_inverse=True, return_counts=True)
        hits = _probability(torch.tensor(self.right), right, wrong)
        by_class = torch.zeros(len(counts), dtype=torch.float64).index_add_(0, classes, hits)
        shares = (_CLASS_PRIOR * self.right + by_class) / (_CLASS_PRIOR + counts)
        return _probability(shares[classes], right, wrong).clamp_max(_MOST)

    def __str__(self) -> str:
        """Return a sentence on the `doubt`, if any, and one on the share of right answers."""
        sentences = [f"The describer is ignored: {self.doubt}."] if self.doubt else []
        if self.answers or self.controls:
            posterior = self.posterior
            sums, ends = posterior.cumsum(dim=0), (_TAIL, 1 - _TAIL)
            low, high = (_percent(float(GRID[int((sums < end).sum())])) for end in ends)
            sentences.append(
                f"An estimated {_percent(self.right)} % of the describer's answers are right "
                f"(90 % interval: {low} to {high} %)."
            )
        return " ".join(sentences)


def _probability(share: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """Return the probability of right answers from their share and both likelihoods."""
    return share * right / (share * right + (1 - share) * wrong)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
