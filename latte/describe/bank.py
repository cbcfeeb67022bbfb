"""Descriptions as the training loop reads them: for a batch of images, rows of distinct texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from latte.describe.bank_file import BankLine, load_columns, read_bank, write_bank
from latte.describe.column import ABSENT, Column, Draws, planned_columns
from latte.describe.generate import GenerateResult
from latte.describe.plan import Plan, TrainingSet, subject_labels
from latte.interfaces import Described, DescriptionType, ImageReference
from latte.toolkit.descriptions import fill


class DescriptionBank:
    """All descriptions of N training images, distinct texts kept once.

    Where the describer refused all that it was asked about an image, the image's description is the
    dataset's template about its frozen label; `fallbacks` counts those. Everything here lives on
    the CPU.
    """

    def __init__(
        self,
        ids: Sequence[str],
        zero_shot_labels: Tensor,
        class_names: Sequence[str],
        template: str,
        descriptions: Mapping[str, DescriptionType[Any]],
        columns: Mapping[str, Column],
    ) -> None:
        self.ids = tuple(ids)
        self.zero_shot_labels = zero_shot_labels
        self.class_names = tuple(class_names)
        self.columns = dict(columns)
        self.fallbacks = {
            label: int((~column.answered()).sum()) for label, column in columns.items()
        }
        """How many images' descriptions were refused, by description."""
        self._row_of_text: dict[str, int] = {}
        self._templates = [fill(template, name) for name in self.class_names]
        self._of_class: dict[str, Tensor] = {}
        self._draws: dict[str, Draws] = {}
        for label, kind in descriptions.items():
            if kind.scope == "class":
                self._of_class[label] = self._intern([kind.prompt(n) for n in self.class_names])
            else:
                self._draws[label] = self._drawn_from(label, kind)
        self.of_class = frozenset(self._of_class)
        """Descriptions of scope `class`."""
        self.unique_texts: tuple[str, ...] = tuple(self._row_of_text)
        """Every distinct text; what `rows` points into."""

    @classmethod
    def from_plans(
        cls,
        training: TrainingSet,
        plans: Mapping[str, Plan],
        results: Mapping[str, GenerateResult],
        descriptions: Mapping[str, DescriptionType[Any]],
    ) -> Self:
        """The bank of plans whose requests were answered; `descriptions` as they were planned."""
        return cls.of(training, planned_columns(plans, results), descriptions)

    @classmethod
    def of(
        cls,
        training: TrainingSet,
        columns: Mapping[str, Column],
        descriptions: Mapping[str, DescriptionType[Any]],
    ) -> Self:
        """The bank of a training set whose descriptions are `columns`."""
        ids = [image.id for image in training.images]
        ordered = {label: columns[label] for label in descriptions if label in columns}
        labels, names = training.zero_shot_labels, training.class_names
        return cls(ids, labels, names, training.template, descriptions, ordered)

    @classmethod
    def load(
        cls,
        path: Path,
        class_names: Sequence[str],
        template: str,
        descriptions: Mapping[str, DescriptionType[Any]],
    ) -> Self:
        """Read what `save` wrote. Raises `LatteError` for a file that does not fit."""
        asking = [label for label, kind in descriptions.items() if kind.scope != "class"]
        lines = read_bank(path, asking, classes=len(class_names))
        found = load_columns(lines, descriptions, path)
        return cls(
            found.ids, found.zero_shot_labels, class_names, template, descriptions, found.columns
        )

    def save(self, path: Path) -> None:
        """Write one JSON line an image: id, frozen label, texts, and the ids of its groups."""
        labels = self.zero_shot_labels.tolist()
        own = {label: column.subjects().numpy() for label, column in self.columns.items()}
        groups = {
            label: column.groups.numpy()
            for label, column in self.columns.items()
            if column.groups is not None
        }
        shared = [label for label in groups if self.columns[label].own is not None]
        write_bank(
            path,
            (
                BankLine(
                    id=id_,
                    frozen_label=labels[row],
                    frozen_class=self.class_names[labels[row]],
                    texts={
                        label: column.texts[own[label][row]]
                        for label, column in self.columns.items()
                    },
                    groups={
                        label: tuple(self.ids[i] for i in of[own[label][row]])
                        for label, of in groups.items()
                    },
                    numbers={label: int(own[label][row]) for label in shared},
                )
                for row, id_ in enumerate(self.ids)
            ),
        )

    def rows(
        self, label: str, indices: Tensor, class_labels: Tensor | None, epoch: int, seed: int
    ) -> Tensor:
        """Rows (B,) of `unique_texts`: description `label` of the images `indices` (B,).

        Scope `class` reads `class_labels` (B,) and nothing else. A group that is redrawn gives the
        text of a uniformly drawn group of the same frozen label, the image's own included; of
        several texts about one image or group, one is drawn uniformly. The draws depend on `seed`,
        `epoch`, `label` and the image alone, not on the batch.
        """
        if label not in self._of_class:
            return self._draws[label].of(indices, epoch, seed)
        if class_labels is None:
            raise ValueError(f"description `{label}` has scope `class` and needs class labels")
        return self._of_class[label][class_labels.cpu()]

    def texts(
        self, label: str, indices: Tensor, class_labels: Tensor | None, epoch: int, seed: int
    ) -> list[str]:
        """The texts that `rows` points at."""
        rows = self.rows(label, indices, class_labels, epoch, seed)
        return [self.unique_texts[row] for row in rows.tolist()]

    def own_rows(self, label: str, class_labels: Tensor | None = None) -> Tensor:
        """Rows (N, V) of `unique_texts` without any draw: what was written for image i itself.

        V is the largest number of texts about an image; those that have fewer end in -1, and have
        one at least. For scope `class`, V is 1: the text of the image's label in `class_labels`
        (N,), or of its frozen label.
        """
        if label in self._of_class:
            labels = self.zero_shot_labels if class_labels is None else class_labels.cpu()
            return self._of_class[label][labels][:, None]
        draws = self._draws[label]
        return draws.rows[draws.own]

    def distinct_rows(self, label: str) -> Tensor:
        """All rows of `unique_texts` that description `label` can ever give, sorted."""
        of_class = self._of_class.get(label)
        rows: Tensor = torch.unique(self._draws[label].rows if of_class is None else of_class)
        return rows[rows != ABSENT]

    def described(self, row: int, images: Sequence[ImageReference]) -> dict[str, Described]:
        """What was written for training image `row`, by description; scope `class` is left out.

        `images` are the N training images, for the members of its groups.
        """
        return {
            label: self._described(self._draws[label], column.groups, row, images)
            for label, column in self.columns.items()
        }

    def _described(
        self, draws: Draws, groups: Tensor | None, row: int, images: Sequence[ImageReference]
    ) -> Described:
        subject = int(draws.own[row])
        rows = [text for text in draws.rows[subject].tolist() if text != ABSENT]
        text, *others = (self.unique_texts[one] for one in rows)
        members = [] if groups is None else groups[subject].tolist()
        return Described(text, tuple(images[one] for one in members), tuple(others))

    def __len__(self) -> int:
        """N, the number of training images."""
        return len(self.ids)

    def _drawn_from(self, label: str, kind: DescriptionType[Any]) -> Draws:
        column = self.columns[label]
        own = column.subjects()
        classes = subject_labels(own, self.zero_shot_labels).tolist()
        texts = [
            [text for text in of if text is not None] or [self._templates[class_]]
            for of, class_ in zip(column.texts, classes, strict=True)
        ]
        # A group type of a plugin that says nothing about it behaves as published.
        redraw = kind.scope == "group" and bool(getattr(kind.options, "redraw", True))
        return Draws(label, self._padded(texts), own, self.zero_shot_labels, redraw)

    def _padded(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """Rows (S, V) of the texts of S subjects, V at most, `ABSENT` after the last of each."""
        counts = torch.tensor([len(of) for of in texts], dtype=torch.int64)
        most = int(counts.max()) if len(texts) else 1
        rows = torch.full((len(texts), most), ABSENT, dtype=torch.int64)
        rows[torch.arange(most) < counts[:, None]] = self._intern([t for of in texts for t in of])
        return rows

    def _intern(self, texts: Sequence[str]) -> Tensor:
        table = self._row_of_text
        rows = [table.setdefault(text, len(table)) for text in texts]
        return torch.tensor(rows, dtype=torch.int64)
