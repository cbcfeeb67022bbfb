"""Simulated folders, answers and fits for the measurement `gains`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from latte_benchmarks.folder_cells import LabelledImages, LabelledSet
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.answer_plans import with_mistakes
from benchmarks.answer_rivals import AnsweredSet
from latte.api import asking_order
from latte.evaluate.answered_gain import AnsweredImages, UnansweredImages, expected_gains
from latte.interfaces import Posterior
from latte.run.cross_fit import FOLDS, folds

RANDOM, IN_ORDER = "random", "in order"
PLANS = (RANDOM, IN_ORDER)
_COPIES = 3
"""Number of photos in a series."""
_NOISE = 0.2
"""Length of the change between a photo and those of its series; features have length 1."""
_CONSIDERED = 0.7
"""Share of the series that latte may ask about in its order, so that draws differ."""
_REFIT_AFTER = 10
"""Number of answers in latte's order after which the model is fitted again."""


@dataclass(frozen=True)
class SeriesFolder:
    """Images of a labelled set, where images of a series count once."""

    answered: AnsweredSet
    series: Tensor
    """(N,) int64: number of each image's series."""

    @property
    def truth(self) -> Tensor:
        """True classes (N,)."""
        return self.answered.labelled.train.labels

    @property
    def zero_shot_labels(self) -> Tensor:
        """Zero-shot labels (N,)."""
        return (self.answered.own @ self.answered.labelled.texts.T).argmax(dim=1)


@dataclass(frozen=True)
class Draw:
    """Answers of one draw, and the labels of all images by fits to them."""

    classes: int
    series: Tensor
    """(N,): number of each image's series."""
    truth: Tensor
    """(N,): true classes."""
    given: Tensor
    """(N,): the given classes, and -1 elsewhere."""
    fold: Tensor
    """(N,): the fold of each answered image, and -1 elsewhere."""
    zero_shot: Tensor
    """(N,): zero-shot labels."""
    taught: Tensor
    """(N,): labels by the fit to all answers."""
    left_out: Tensor
    """(5, N): labels by the fits without each fold."""
    expected: Tensor
    """(5, N): gains that these fits expect."""

    @property
    def is_other(self) -> Tensor:
        """True (N,) for images of series without an answer; the gain is about them."""
        return ~torch.isin(self.series, self.series[self.given >= 0])

    @property
    def gain(self) -> float:
        """True gain of the taught model on these images."""
        was_right, is_right = (
            (labels == self.truth)[self.is_other].double()
            for labels in (self.zero_shot, self.taught)
        )
        return float((is_right - was_right).mean())

    @property
    def others(self) -> UnansweredImages:
        """The images that the gain is about, by the fits without each fold."""
        is_other = self.is_other
        is_changed = (self.left_out != self.zero_shot)[:, is_other]
        return UnansweredImages.of(is_changed, self.expected[:, is_other], self.series[is_other])

    @property
    def answered(self) -> AnsweredImages:
        """The left-out answers."""
        rows = (self.given >= 0).nonzero().squeeze(1)
        left_out, expected = (
            values[self.fold[rows], rows] for values in (self.left_out, self.expected)
        )
        return AnsweredImages(
            self.given[rows], self.zero_shot[rows], left_out, expected, self.series[rows]
        )


def made_folder(labelled: LabelledSet, most: int, seed: int, *, in_series: bool) -> SeriesFolder:
    """Return a random part of a set with at most `most` images, each thrice if `in_series`."""
    generator = torch.Generator().manual_seed(seed)
    copies = _COPIES if in_series else 1
    order = torch.randperm(len(labelled.train), generator=generator)
    images = labelled.train.take(order[: most // copies].sort().values)
    features = images.features.repeat_interleave(copies, dim=0)
    if in_series:
        noise = torch.randn(features.shape, generator=generator)
        features = normalize(features + _NOISE * normalize(noise, dim=1), dim=1)
    series = torch.arange(len(images)).repeat_interleave(copies)
    train = LabelledImages(features, images.labels.repeat_interleave(copies))
    return SeriesFolder(AnsweredSet(replace(labelled, train=train)), series)


def draws(
    folder: SeriesFolder, plan: str, numbers: Sequence[int], seed: int, wrong: float = 0.0
) -> Iterator[Draw]:
    """Yield a draw per number of answers; each has the answers of the one before, and more.

    At most half of the images get an answer. With `wrong`, a share of the answers is mistaken.
    """
    generator = torch.Generator().manual_seed(seed)
    answers = with_mistakes(folder.truth, wrong, folder.answered.classes, generator)
    numbers = [number for number in numbers if number <= len(answers) // 2]
    rows = (
        torch.randperm(len(answers), generator=generator)
        if plan == RANDOM
        else _rows_in_order(folder, answers, max(numbers, default=0), generator)
    )
    for number in numbers:
        chosen = rows[:number]
        yield draw_of(folder, torch.full_like(answers, -1).index_copy(0, chosen, answers[chosen]))


def draw_of(folder: SeriesFolder, given: Tensor) -> Draw:
    """Return the labels by fits with and without the answers of each fold."""
    fold = _folds(folder, given)
    left_out = [_fit(folder, given.masked_fill(fold == number, -1)) for number in range(FOLDS)]
    return Draw(
        folder.answered.classes,
        folder.series,
        folder.truth,
        given,
        fold,
        folder.zero_shot_labels,
        _fit(folder, given).labels[:, 0],
        torch.stack([fitted.labels[:, 0] for fitted in left_out]),
        torch.stack([expected_gains(fitted, folder.zero_shot_labels) for fitted in left_out]),
    )


def _fit(folder: SeriesFolder, given: Tensor) -> Posterior:
    return folder.answered.taught(given).posterior


def _folds(folder: SeriesFolder, given: Tensor) -> Tensor:
    """Return the fold (N,) of each answered image, and -1 elsewhere; a series is in one fold."""
    rows = (given >= 0).nonzero().squeeze(1)
    labels, series = (
        {str(row): int(values[row]) for row in rows.tolist()} for values in (given, folder.series)
    )
    fold_of = folds(labels, series)
    numbers = [fold_of[str(row)] for row in rows.tolist()]
    return torch.full_like(given, -1).index_copy(0, rows, torch.tensor(numbers))


def _rows_in_order(
    folder: SeriesFolder, answers: Tensor, number: int, generator: torch.Generator
) -> Tensor:
    """Return the first rows in latte's order of asking, among the images of random series."""
    answered, count = folder.answered, int(folder.series[-1]) + 1
    shuffled = torch.randperm(count, generator=generator)
    is_considered = torch.isin(folder.series, shuffled[: round(_CONSIDERED * count)])
    considered = is_considered.nonzero().squeeze(1)
    features, zero_shot_labels = answered.own[considered], folder.zero_shot_labels[considered]
    given, posterior, asked = torch.full_like(answers, -1), answered.without_answers, []
    for _ in range(-(-number // _REFIT_AFTER)):
        confidence = posterior.probabilities[considered, 0]
        labels = posterior.labels[considered, 0]
        differs, is_answered = labels != zero_shot_labels, given[considered] >= 0
        order = asking_order(features, confidence, differs, is_answered, _REFIT_AFTER)
        asked.append(considered[order.rows])
        given[asked[-1]] = answers[asked[-1]]
        posterior = answered.taught(given).posterior
    return torch.cat(asked)[:number] if asked else considered[:0]
