"""Coverage of the interval about a model that learns while a simulated reviewer measures it.

The reviewer answers about images in random order, and the model learns from every answer: each
image is scored with the label that stood before its answer. In between, the reviewer may name
groups: images of one label, all with their true classes, as on the review page. After each answer
from the twentieth on, the interval should contain the accuracy of the newest labels of all images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from latte_benchmarks.folder_cells import LabelledSet
from numpy.typing import NDArray
from torch import Tensor

from latte.evaluate.confidence_sequence import confidence_sequence
from latte.interfaces import LatteError
from latte.toolkit.self_taught import self_taught

LEAST = 20
"""Number of random answers from which the page shows an interval."""
_GROUP = 12
_ROUNDING = 1e-6


@dataclass(frozen=True)
class MovingPlan:
    """Work of a reviewer: `answers` about random images, and groups in between."""

    name: str
    answers: int
    group_every: int = 0
    """A group is named after so many random answers; 0 for never."""
    groups_first: int = 0
    """Number of groups that are named before the first random answer."""


PLANS = (
    MovingPlan("random only", 60),
    MovingPlan("groups first", 60, groups_first=5),
    MovingPlan("groups between", 60, group_every=5),
)


@dataclass(frozen=True)
class MovingFolder:
    """Frozen features and true labels of one folder."""

    name: str
    images: Tensor
    texts: Tensor
    truth: Tensor

    @classmethod
    def of(cls, labelled: LabelledSet, most: int) -> MovingFolder:
        """Return at most `most` of the set's training images, drawn with a fixed seed."""
        count = len(labelled.train)
        rows = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most]
        part = labelled.train.take(rows)
        return cls(labelled.name, part.features, labelled.texts, part.labels)

    def labels(self, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labels (N,) of a fit to the answers, and their confidences (N,)."""
        posterior = self_taught(self.images, self.texts, answers).posterior
        labels = answers.where(answers >= 0, posterior.labels[:, 0])
        return labels, posterior.probabilities[:, 0]


@dataclass(frozen=True)
class MovingCoverage:
    """The reviewers whose interval holds, after each answer from the twentieth on."""

    covered: NDArray[np.float64]
    """(reviewers, answers): 1 if the interval contains the newest model's accuracy."""
    lags: NDArray[np.float64]
    """(reviewers, answers): value of the estimate minus this accuracy, in points."""
    grown: float
    """Mean accuracy at the end minus that at the first answer, in points."""

    @property
    def worst(self) -> float:
        """The smallest share of covered reviewers over all numbers of answers."""
        return float(self.covered.mean(axis=0).min())


def review(
    folder: MovingFolder, plan: MovingPlan, generator: torch.Generator
) -> tuple[list[float], list[float], list[float]]:
    """Simulate one reviewer; return for each answer whether it is covered, the lag, accuracies."""
    size = len(folder.truth)
    answers = torch.full((size,), -1)
    labels, confidences = folder.labels(answers)
    named = set[int]()
    before = labels.clone()
    for _ in range(plan.groups_first):
        before = labels.where(answers < 0, before)
        answers = with_group(folder, answers, labels, confidences, named)
        labels, confidences = folder.labels(answers)
    order = torch.randperm(size, generator=generator).tolist()
    covered, lags, accuracies, scores = [], [], [], list[float]()
    for number, row in enumerate(order[: plan.answers], 1):
        stood = labels[row] if answers[row] < 0 else before[row]
        scores.append(float(stood == folder.truth[row]))
        answers[row] = folder.truth[row]
        if plan.group_every and number % plan.group_every == 0:
            before = labels.where(answers < 0, before)
            answers = with_group(folder, answers, labels, confidences, named)
        labels, confidences = folder.labels(answers)
        accuracies.append(float((labels == folder.truth).float().mean()))
        if number >= LEAST:
            interval = confidence_sequence(scores, size, 0, 1)
            is_inside = interval.low - _ROUNDING <= accuracies[-1] <= interval.high + _ROUNDING
            covered.append(float(is_inside))
            lags.append(100 * (interval.value - accuracies[-1]))
    return covered, lags, accuracies


def with_group(
    folder: MovingFolder, answers: Tensor, labels: Tensor, confidences: Tensor, named: set[int]
) -> Tensor:
    """Return the answers with those about a group: the largest that is not named yet."""
    is_open = answers < 0
    counts = labels[is_open].bincount(minlength=len(folder.texts))
    if not bool((counts > 0).any()):
        return answers
    ranked = [label for label in counts.argsort(descending=True).tolist() if counts[label] > 0]
    label = next((label for label in ranked if label not in named), ranked[0])
    named.add(label)
    rows = ((labels == label) & is_open).nonzero().squeeze(1)
    rows = rows[confidences[rows].argsort(descending=True)]
    shown = torch.cat([rows[:9], rows[9:][-3:]])[:_GROUP]
    return answers.index_copy(0, shown, folder.truth[shown])


def coverage(folder: MovingFolder, plan: MovingPlan, reviewers: int, seed: int) -> MovingCoverage:
    """Simulate reviewers of a folder."""
    generator = torch.Generator().manual_seed(seed)
    outcomes = [review(folder, plan, generator) for _ in range(reviewers)]
    grown = [accuracies[-1] - accuracies[0] for _, _, accuracies in outcomes]
    return MovingCoverage(
        np.array([covered for covered, _, _ in outcomes]),
        np.array([lags for _, lags, _ in outcomes]),
        100 * float(np.mean(grown)),
    )


def need_images(images: int, folder: str) -> None:
    """Raise `LatteError` if a reviewer can answer about too few `images` for an interval."""
    if images < LEAST:
        hint = f"take at least {LEAST} images, and 12 for each group that is named first"
        raise LatteError(f"{images} images to ask about are too few", where=folder, hint=hint)


HEAD = ("folder", "plan", "grown", "worst coverage", "lag after 20", "lag after 60")


def moving_rows(
    sets: Sequence[LabelledSet], most: int, reviewers: int, seed: int
) -> list[list[str]]:
    """Return the cells of a row for each plan and folder."""
    rows = []
    for labelled in sets:
        folder = MovingFolder.of(labelled, most)
        need_images(len(folder.truth), folder.name)
        for plan in PLANS:
            found = coverage(folder, plan, reviewers, seed)
            rows.append(
                [
                    folder.name,
                    plan.name,
                    f"{found.grown:+.1f}",
                    f"{found.worst:.1%}",
                    f"{found.lags[:, 0].mean():+.1f}",
                    f"{found.lags[:, -1].mean():+.1f}",
                ]
            )
    return rows
