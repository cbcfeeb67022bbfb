"""One image- or group-scope description of all training images, and the draws from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from latte.describe.generate import GenerateResult
from latte.describe.plan import Plan, subject_labels
from latte.toolkit.seeds import seed_from

ABSENT = -1
"""In place of a row: this image or group has fewer texts than others."""


@dataclass(frozen=True)
class Column:
    """What one description says about its S subjects: images, or groups of images."""

    texts: Sequence[tuple[str | None, ...]]
    """Of each subject, a text for each prompt and sample; None where the describer refused."""
    groups: Tensor | None = None
    """(S, size) rows of the training set; None for scope `image`."""
    own: Tensor | None = None
    """(N,) int64: the subject of each training image; None: subject i is that of image i."""

    def subjects(self) -> Tensor:
        """(N,) int64: the subject of each training image."""
        return torch.arange(len(self.texts)) if self.own is None else self.own

    def answered(self) -> Tensor:
        """(N,) bool: whether there is any text about an image's subject."""
        has_text = [any(text is not None for text in texts) for texts in self.texts]
        return torch.tensor(has_text, dtype=torch.bool)[self.subjects()]


def planned_columns(
    plans: Mapping[str, Plan], results: Mapping[str, GenerateResult]
) -> dict[str, Column]:
    """The columns of every plan, given what each plan's describer answered; both by describer."""
    columns = {}
    for name, plan in plans.items():
        answers = results[name].texts
        for label, planned in plan.descriptions.items():
            texts = [tuple(answers[row] for row in rows) for rows in planned.rows]
            columns[label] = Column(texts, planned.groups, planned.own)
    return columns


class Draws:
    """Which text of a description each of N images gets in an epoch.

    `rows` (S, V) point at the texts of its subjects, `ABSENT` after the last one of each; a
    subject has one at least. `own` (N,) is each image's subject, and `redraw` says that any
    subject of the same frozen label will do.
    """

    def __init__(
        self, label: str, rows: Tensor, own: Tensor, zero_shot_labels: Tensor, redraw: bool
    ) -> None:
        self.rows = rows
        self.own = own
        self._label = label
        self._counts = (rows != ABSENT).sum(dim=1)
        self._one_text = rows.shape[1] == 1
        self._pool = _Pool(own, zero_shot_labels) if redraw else None
        self._drawn: Callable[[int, int], Tensor] = lru_cache(maxsize=2)(self._draw)

    def of(self, indices: Tensor, epoch: int, seed: int) -> Tensor:
        """The rows (B,) of the images `indices` (B,)."""
        if self._pool is None and self._one_text:
            return self.rows[self.own[indices], 0]
        return self._drawn(epoch, seed)[indices]

    def _draw(self, epoch: int, seed: int) -> Tensor:
        """(N,): the row of every image, whatever the batches are."""
        subjects = self.own
        if self._pool is not None:
            subjects = self._pool.draw(
                _uniform(f"redraw {self._label}", len(self.own), epoch, seed)
            )
        if self._one_text:
            return self.rows[subjects, 0]
        uniform = _uniform(f"variant {self._label}", len(self.own), epoch, seed)
        return self.rows[subjects, (uniform * self._counts[subjects]).long()]


class _Pool:
    """Subjects by frozen label, to draw from."""

    def __init__(self, own: Tensor, zero_shot_labels: Tensor) -> None:
        labels = subject_labels(own, zero_shot_labels)
        counts = torch.bincount(labels)
        self._order = labels.argsort(stable=True)
        self._first = (counts.cumsum(0) - counts)[zero_shot_labels]
        self._size = counts[zero_shot_labels]

    def draw(self, uniform: Tensor) -> Tensor:
        """(N,): for each image a subject of its frozen label, by draws (N,) from [0, 1)."""
        return self._order[self._first + (uniform * self._size).long()]


def _uniform(purpose: str, count: int, epoch: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed_from(purpose, seed, epoch))
    return torch.rand(count, dtype=torch.float64, generator=generator)
