"""Descriptions as the training loop reads them: for a batch of images, rows of distinct texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from latte.data.seeds import seed_from
from latte.describe.bank_file import BankLine, read_bank, write_bank
from latte.describe.generate import GenerateResult
from latte.describe.plan import Plan
from latte.describe.types import fill
from latte.interfaces import Described, DescriptionType, ImageReference, LatteError, Scope


@dataclass(frozen=True)
class Column:
    """What one image- or group-scope description says about each training image."""

    texts: Sequence[str | None]
    """N texts; None where the describer refused."""
    groups: Tensor | None = None
    """(N, size) rows of the training set; None for scope `image`."""


@dataclass(frozen=True)
class _Entry:
    scope: Scope
    redraw: bool
    rows: Tensor
    """Rows of `unique_texts`: (N,) by image, or (C,) by class for scope `class`."""


class DescriptionBank:
    """All descriptions of N training images, distinct texts kept once.

    Where the describer refused, the image's description is the dataset's template about its frozen
    label; `fallbacks` counts those. Everything here lives on the CPU.
    """

    def __init__(
        self,
        ids: Sequence[str],
        frozen_labels: Tensor,
        class_names: Sequence[str],
        template: str,
        descriptions: Mapping[str, DescriptionType[Any]],
        columns: Mapping[str, Column],
    ) -> None:
        self.ids = tuple(ids)
        self.frozen_labels = frozen_labels
        self.class_names = tuple(class_names)
        self.columns = dict(columns)
        self.fallbacks = {
            label: sum(text is None for text in column.texts) for label, column in columns.items()
        }
        """How many images' descriptions were refused, by description."""
        self._row_of_text: dict[str, int] = {}
        self._pool = _Pool(frozen_labels, len(self.class_names))
        fallback = [fill(template, self.class_names[c]) for c in frozen_labels.tolist()]
        self._entries = {
            label: self._entry(label, kind, fallback) for label, kind in descriptions.items()
        }
        self.unique_texts: tuple[str, ...] = tuple(self._row_of_text)
        """Every distinct text; what `rows` points into."""

    @classmethod
    def from_plan(
        cls, plan: Plan, result: GenerateResult, descriptions: Mapping[str, DescriptionType[Any]]
    ) -> Self:
        """The bank of a plan whose requests were answered; `descriptions` as they were planned."""
        columns = {
            label: Column([result.texts[row] for row in planned.rows], planned.groups)
            for label, planned in plan.descriptions.items()
        }
        training = plan.training
        ids = [image.id for image in training.images]
        labels, names = training.frozen_labels, training.class_names
        return cls(ids, labels, names, training.template, descriptions, columns)

    @classmethod
    def load(
        cls,
        path: Path,
        class_names: Sequence[str],
        template: str,
        descriptions: Mapping[str, DescriptionType[Any]],
    ) -> Self:
        """Read what `save` wrote. Raises `LatteError` for a file that does not fit."""
        asking = {label: kind for label, kind in descriptions.items() if kind.scope != "class"}
        lines = read_bank(path, list(asking), classes=len(class_names))
        columns = {
            label: Column([line.texts[label] for line in lines], _groups(lines, label, kind, path))
            for label, kind in asking.items()
        }
        labels = torch.tensor([line.frozen_label for line in lines], dtype=torch.int64)
        ids = [line.id for line in lines]
        return cls(ids, labels, class_names, template, descriptions, columns)

    def save(self, path: Path) -> None:
        """Write one JSON line an image: id, frozen label, texts, and the ids of its groups."""
        groups = {
            label: column.groups.tolist()
            for label, column in self.columns.items()
            if column.groups is not None
        }
        labels = self.frozen_labels.tolist()
        write_bank(
            path,
            (
                BankLine(
                    id=id_,
                    frozen_label=labels[row],
                    frozen_class=self.class_names[labels[row]],
                    texts={label: column.texts[row] for label, column in self.columns.items()},
                    groups={
                        label: tuple(self.ids[i] for i in of[row]) for label, of in groups.items()
                    },
                )
                for row, id_ in enumerate(self.ids)
            ),
        )

    def rows(
        self, label: str, indices: Tensor, class_labels: Tensor | None, epoch: int, seed: int
    ) -> Tensor:
        """Rows (B,) of `unique_texts`: description `label` of the images `indices` (B,).

        Scope `class` reads `class_labels` (B,) and nothing else. A group that is redrawn gives the
        text of a uniformly drawn image of the same frozen label, itself included; the draw
        depends on `seed`, `epoch`, `label` and the image alone, not on the batch.
        """
        entry = self._entries[label]
        if entry.scope == "class":
            if class_labels is None:
                raise ValueError(f"description `{label}` has scope `class` and needs class labels")
            return entry.rows[class_labels.cpu()]
        if not entry.redraw:
            return entry.rows[indices]
        return entry.rows[self._pool.donors(label, epoch, seed)[indices]]

    def texts(
        self, label: str, indices: Tensor, class_labels: Tensor | None, epoch: int, seed: int
    ) -> list[str]:
        """The texts that `rows` points at."""
        rows = self.rows(label, indices, class_labels, epoch, seed)
        return [self.unique_texts[row] for row in rows.tolist()]

    def own_rows(self, label: str, class_labels: Tensor | None = None) -> Tensor:
        """Rows (N,) of `unique_texts` without redrawing: what was written for image i itself.

        For scope `class`, the text of its label in `class_labels` (N,), or of its frozen label.
        """
        entry = self._entries[label]
        if entry.scope != "class":
            return entry.rows
        return entry.rows[self.frozen_labels if class_labels is None else class_labels.cpu()]

    def distinct_rows(self, label: str) -> Tensor:
        """All rows of `unique_texts` that description `label` can ever give, sorted."""
        rows: Tensor = torch.unique(self._entries[label].rows)
        return rows

    def described(self, row: int, images: Sequence[ImageReference]) -> dict[str, Described]:
        """What was written for training image `row`, by description; scope `class` is left out.

        `images` are the N training images, for the members of its groups.
        """
        return {
            label: Described(
                self.unique_texts[int(self._entries[label].rows[row])],
                ()
                if column.groups is None
                else tuple(images[i] for i in column.groups[row].tolist()),
            )
            for label, column in self.columns.items()
        }

    def __len__(self) -> int:
        """N, the number of training images."""
        return len(self.ids)

    def _entry(self, label: str, kind: DescriptionType[Any], fallback: Sequence[str]) -> _Entry:
        if kind.scope == "class":
            return _Entry("class", False, self._intern([kind.prompt(n) for n in self.class_names]))
        texts = zip(self.columns[label].texts, fallback, strict=True)
        rows = self._intern([spare if text is None else text for text, spare in texts])
        # A group type of a plugin that says nothing about it behaves as published.
        redraw = kind.scope == "group" and bool(getattr(kind.options, "redraw", True))
        return _Entry(kind.scope, redraw, rows)

    def _intern(self, texts: Sequence[str]) -> Tensor:
        table = self._row_of_text
        rows = [table.setdefault(text, len(table)) for text in texts]
        return torch.tensor(rows, dtype=torch.int64)


def _groups(
    lines: Sequence[BankLine], label: str, kind: DescriptionType[Any], path: Path
) -> Tensor | None:
    """(N, size) rows of the images shown together, or None for scope `image`."""
    if kind.scope != "group":
        return None
    row_of_id = {line.id: row for row, line in enumerate(lines)}
    members = [[row_of_id.get(id_, -1) for id_ in line.groups.get(label, ())] for line in lines]
    if any(len(group) != kind.group_size or -1 in group for group in members):
        raise LatteError(
            f"the groups of `{label}` do not fit this recipe",
            where=str(path),
            hint="remove the file to have it written anew; stored texts are reused",
        )
    return torch.tensor(members, dtype=torch.int64).reshape(-1, kind.group_size)


class _Pool:
    """Training images by frozen label, to draw from."""

    def __init__(self, frozen_labels: Tensor, classes: int) -> None:
        counts = torch.bincount(frozen_labels, minlength=classes)
        self._order = frozen_labels.argsort(stable=True)
        self._first = (counts.cumsum(0) - counts)[frozen_labels]
        self._size = counts[frozen_labels]
        self.donors = lru_cache(maxsize=8)(self._draw)

    def _draw(self, label: str, epoch: int, seed: int) -> Tensor:
        """(N,): for each image a uniformly drawn image of its frozen label."""
        generator = torch.Generator().manual_seed(seed_from(f"redraw {label}", seed, epoch))
        uniform = torch.rand(len(self._size), dtype=torch.float64, generator=generator)
        return self._order[self._first + (uniform * self._size).long()]
