"""Reliability of a describer's answers, for classes that were named often enough.

Dawid and Skene (1979) estimate from the disagreements of annotators how often each of them confuses
one class with another. Here the annotators are the describer and the *mixture*: the Gaussian
mixture, fitted without answers. CLIP is no third annotator, because the mixture follows it and
shares its errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from latte_questions.belief import CHANGES, NONE, within_limits

FEWEST_ANSWERS = 16
"""Smallest number of pairs of answers that name a class, for reliabilities of its own."""
_PRIOR = 10.0
"""Number of images as which the reliability of all answers counts for each class."""
_CONFUSIONS = 20.0
"""Number of images per class as which a Gaussian mixture that guesses counts."""
_ITERATIONS = 30


@dataclass(frozen=True)
class AnswerPair:
    """Answers to the two questions about one image, each a class or `NONE`."""

    row: int
    first_answer: int
    second_answer: int
    options: tuple[int, ...]


def reliabilities(
    pairs: Sequence[AnswerPair], mixture: Tensor, classes: int, right: float
) -> dict[int, float]:
    """Return, by image, the probability that the describer's answer is right.

    An image is included if both of its questions got the same class as answer, and if at least
    `FEWEST_ANSWERS` pairs of answers name this class. A pair of two different answers counts half
    for each of its classes.

    Args:
        pairs: the answers about images.
        mixture: (N,) labels of all images by the Gaussian mixture without answers.
        classes: the number C of classes.
        right: probability that an answer is right, estimated from all answers.
    """
    named_pairs = [pair for pair in pairs if max(pair.first_answer, pair.second_answer) != NONE]
    if not named_pairs:
        return {}
    answers = _MixtureAnswers.of(named_pairs, mixture, classes)
    often = (answers.first_answers + answers.second_answers).sum(dim=0) / 2 >= FEWEST_ANSWERS
    if not bool(often.any()):
        return {}
    shares = answers.true_classes(right)
    return {
        pair.row: within_limits(float(shares[place, pair.first_answer]), len(pair.options))
        for place, pair in enumerate(named_pairs)
        if pair.first_answer == pair.second_answer and bool(often[pair.first_answer])
    }


@dataclass(frozen=True)
class _MixtureAnswers:
    """Answers of the describer about M images, and the mixture's labels of these images."""

    first_answers: Tensor
    """(M, C): 1 at the first answer of the describer."""
    second_answers: Tensor
    """(M, C): 1 at its second answer."""
    offered: Tensor
    """(M, C): 1 at the options."""
    mixture: Tensor
    """(M,): labels by the mixture."""

    @classmethod
    def of(cls, pairs: Sequence[AnswerPair], mixture: Tensor, classes: int) -> _MixtureAnswers:
        # One more column for "none of these", which is then dropped.
        def marked(labels: Sequence[int]) -> Tensor:
            columns = torch.tensor([classes if label == NONE else label for label in labels])
            return one_hot(columns, classes + 1)[:, :classes].double()

        offered = torch.zeros(len(pairs), classes, dtype=torch.float64)
        for place, pair in enumerate(pairs):
            offered[place, list(pair.options)] = 1
        return cls(
            marked([pair.first_answer for pair in pairs]),
            marked([pair.second_answer for pair in pairs]),
            offered,
            mixture[[pair.row for pair in pairs]].cpu(),
        )

    def true_classes(self, right: float) -> Tensor:
        """Return the probability (M, C) of each class of each image, by expectation-maximisation.

        The parameters of a class are the probability that the describer is right about it, and
        the probability of each label that the mixture gives to images of the class.
        """
        same = ((self.first_answers * self.second_answers).sum(dim=1) > 0).unsqueeze(1)
        options, classes = self.offered.sum(dim=1, keepdim=True), self.offered.shape[1]
        reliable = torch.full((classes,), right, dtype=torch.float64)
        # No other label is looked up; a matrix (C, C) would be slow for thousands of classes.
        labels, columns = torch.unique(self.mixture, return_inverse=True)
        confusions = torch.full((len(labels), classes), 1 / classes, dtype=torch.float64)
        shares = self.offered / options
        for _ in range(_ITERATIONS):
            likelihood = self._likelihood(reliable, same, options)
            shares = likelihood * confusions[columns]
            shares = shares / shares.sum(dim=1, keepdim=True)
            hits = (shares * self.first_answers * same).sum(dim=0)
            images = shares.sum(dim=0)
            reliable = (_PRIOR * right + hits) / (_PRIOR + images)
            counts = torch.zeros_like(confusions).index_add(0, columns, shares)
            confusions = (counts + _CONFUSIONS / classes) / (images + _CONFUSIONS)
        return shares

    def _likelihood(self, reliable: Tensor, same: Tensor, options: Tensor) -> Tensor:
        """Return the probability (M, C) of the describer's two answers for each true class.

        All wrong answers, including "none of these", are equally probable. A wrong answer changes
        with probability `CHANGES` if the options are reversed.
        """
        wrong = (1 - reliable).expand_as(self.first_answers)
        agreeing = torch.where(self.first_answers > 0, reliable, (1 - CHANGES) * wrong / options)
        is_named = self.first_answers + self.second_answers > 0
        differing = CHANGES * wrong * torch.where(is_named, 0.5, 1 / options.square())
        return torch.where(same, agreeing, differing) * self.offered
