"""Coverage of the interval of *Measure*: random photos about labels that stand still meanwhile.

A reviewer names some groups first, or none; then the labels stand still, and the reviewer says what
random photos without an answer show. After each of them, from the twentieth on, the interval should
contain the share of right labels of all photos, where photos that were named before are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from latte_benchmarks.folder_cells import LabelledSet
from numpy.typing import NDArray

from benchmarks.moving_model import LEAST, MovingFolder, need_images, with_group
from latte.evaluate.confidence_sequence import is_rejected

GROUPS_FIRST = (0, 5)
_ANSWERS = 60
HEAD = ("folder", "groups first", "right", "covered after 20", "covered after 60")


@dataclass(frozen=True)
class FrozenLabels:
    """Labels that stand still while a reviewer measures them.

    Attributes:
        is_right: (M,) 1 for each photo without an answer whose label is right, else 0.
        known: Number of photos with an answer, all of which are right.
    """

    is_right: NDArray[np.float64]
    known: int

    @property
    def accuracy(self) -> float:
        """The share of right labels of all photos."""
        return float(self.is_right.sum() + self.known) / (len(self.is_right) + self.known)


def frozen_labels(folder: MovingFolder, groups_first: int) -> FrozenLabels:
    """Return the labels of a model that the largest groups taught."""
    answers = torch.full((len(folder.truth),), -1)
    labels, confidences = folder.labels(answers)
    named = set[int]()
    for _ in range(groups_first):
        answers = with_group(folder, answers, labels, confidences, named)
        labels, confidences = folder.labels(answers)
    is_right = (labels == folder.truth)[answers < 0]
    return FrozenLabels(is_right.double().numpy(), int((answers >= 0).sum()))


def covered_reviews(labels: FrozenLabels, reviewers: int, seed: int) -> NDArray[np.bool_]:
    """Return for each reviewer whether all intervals from the twentieth photo on hold (R, A)."""
    random = np.random.default_rng(seed)
    population, mean = len(labels.is_right), float(labels.is_right.mean())
    covered = []
    for _ in range(reviewers):
        drawn = random.permutation(labels.is_right)[:_ANSWERS]
        rejected = is_rejected(drawn, population, 0, 1, mean)
        covered.append(~rejected[LEAST - 1 :])
    return np.array(covered)


def frozen_rows(
    sets: Sequence[LabelledSet], most: int, reviewers: int, seed: int
) -> list[list[str]]:
    """Return the cells of a row for each folder and number of groups."""
    rows = []
    for labelled in sets:
        folder = MovingFolder.of(labelled, most)
        for groups_first in GROUPS_FIRST:
            labels = frozen_labels(folder, groups_first)
            need_images(len(labels.is_right), folder.name)
            covered = covered_reviews(labels, reviewers, seed).mean(axis=0)
            right = f"{labels.accuracy:.1%}"
            shares = (f"{covered[0]:.1%}", f"{covered[-1]:.1%}")
            rows.append([folder.name, str(groups_first), right, *shares])
    return rows
