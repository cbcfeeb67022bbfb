"""Description bank: all distinct texts of a run, and for each image the indices of its texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from latte.describe.columns import Column, planned_columns, read_columns, write_columns
from latte.describe.generate import Results
from latte.describe.plan import Descriptions, Plans, TrainingSet, subject_labels
from latte.interfaces import Described, DescriptionType, ImageReference
from latte.toolkit.descriptions import fill
from latte.toolkit.seeds import seed_from

ABSENT = -1
"""Padding in a row of text indices, for images or groups with fewer texts than the others."""


class DescriptionBank:
    """All descriptions of N training images, on the CPU; each distinct text is stored once.

    An image without a text, for example because the describer refused, gets the dataset's template,
    filled with the image's zero-shot class.
    """

    def __init__(
        self,
        ids: Sequence[str],
        zero_shot_labels: Tensor,
        class_names: Sequence[str],
        template: str,
        descriptions: Descriptions,
        columns: Mapping[str, Column],
    ) -> None:
        self.ids: tuple[str, ...] = tuple(ids)
        self.zero_shot_labels = zero_shot_labels
        self.class_names: tuple[str, ...] = tuple(class_names)
        self.columns: dict[str, Column] = dict(columns)
        self._row_of_text: dict[str, int] = {}
        self._templates = [fill(template, name) for name in self.class_names]
        self._of_class: dict[str, Tensor] = {}
        self._samplers: dict[str, _TextSampler] = {}
        for label, kind in descriptions.items():
            if kind.scope == "class":
                self._of_class[label] = self._intern([kind.prompt(n) for n in self.class_names])
            else:
                self._samplers[label] = self._sampler(label, kind)
        self.of_class: frozenset[str] = frozenset(self._of_class)
        """Names of the descriptions about classes (scope `class`)."""
        self.unique_texts: tuple[str, ...] = tuple(self._row_of_text)
        """All distinct texts of the run; `rows` returns indices into this tuple."""

    @classmethod
    def from_plans(
        cls, training: TrainingSet, plans: Plans, results: Results, descriptions: Descriptions
    ) -> Self:
        """Build the bank from the requests (`plans`) and answers (`results`) of each describer."""
        ids = [image.id for image in training.images]
        columns = planned_columns(plans, results)
        ordered = {label: columns[label] for label in descriptions if label in columns}
        labels, names = training.zero_shot_labels, training.class_names
        return cls(ids, labels, names, training.template, descriptions, ordered)

    @classmethod
    def load(
        cls, path: Path, class_names: Sequence[str], template: str, descriptions: Descriptions
    ) -> Self:
        """Read a file that `save` wrote.

        Raises `LatteError` if the file has other descriptions or classes than the recipe.
        """
        ids, labels, columns = read_columns(path, descriptions, len(class_names))
        return cls(ids, labels, class_names, template, descriptions, columns)

    def save(self, path: Path) -> None:
        """Write one JSON line per image: id, zero-shot label, texts, ids of its group's images."""
        write_columns(path, self.ids, self.zero_shot_labels, self.class_names, self.columns)

    def has_same_texts(self, other_bank: DescriptionBank) -> bool:
        """Return True if `other_bank`, a bank of the same requests, has the same texts."""
        texts, other_texts = (
            {label: [*map(tuple, column.texts)] for label, column in bank.columns.items()}
            for bank in (self, other_bank)
        )
        return texts == other_texts

    def rows(
        self, label: str, indices: Tensor, class_labels: Tensor | None, epoch: int, seed: int
    ) -> Tensor:
        """Choose one text of the description `label` for each of the B images in `indices` (B,).

        Returns indices (B,) into `unique_texts`. For a description of scope `class`, the text
        depends only on `class_labels` (B,). If an image or group has several texts, one is sampled
        uniformly. With the option `redraw`, an image gets the text of a random group with the same
        zero-shot label, possibly of its own group. The sample depends on `seed`, `epoch`, `label`
        and the image, not on the batch.
        """
        if label not in self._of_class:
            return self._samplers[label].sample(indices, epoch, seed)
        if class_labels is None:
            raise ValueError(f"description `{label}` has scope `class` and needs class labels")
        return self._of_class[label][class_labels.cpu()]

    def texts(
        self, label: str, indices: Tensor, class_labels: Tensor | None, epoch: int, seed: int
    ) -> list[str]:
        """Return the B texts whose indices `rows` returns for the same arguments."""
        rows = self.rows(label, indices, class_labels, epoch, seed)
        return [self.unique_texts[row] for row in rows.tolist()]

    def own_rows(self, label: str, class_labels: Tensor | None = None) -> Tensor:
        """Return the indices (N, V), in `unique_texts`, of all texts about each of the N images.

        Rows are padded with `ABSENT`; each image has at least one text. For a description of scope
        `class`, each image has one text, about its class in `class_labels` (N,) or, by default,
        about its zero-shot class.
        """
        if label in self._of_class:
            labels = self.zero_shot_labels if class_labels is None else class_labels.cpu()
            return self._of_class[label][labels][:, None]
        sampler = self._samplers[label]
        return sampler.rows[sampler.subject_of_image]

    def distinct_rows(self, label: str) -> Tensor:
        """Return the sorted indices, in `unique_texts`, of all texts of the description `label`."""
        of_class = self._of_class.get(label)
        rows: Tensor = torch.unique(self._samplers[label].rows if of_class is None else of_class)
        return rows[rows != ABSENT]

    def described(
        self, row: int, image: Callable[[int], ImageReference | None]
    ) -> dict[str, Described]:
        """Return the texts about the training image with index `row`, by name of the description.

        Texts about classes are left out. `image` maps an index to a training image, or to None if
        the image is not shown; it is called for the images of a group.
        """
        described = {}
        for label, column in self.columns.items():
            sampler = self._samplers[label]
            subject = int(sampler.subject_of_image[row])
            rows = [text for text in sampler.rows[subject].tolist() if text != ABSENT]
            text, *other_texts = (self.unique_texts[text_row] for text_row in rows)
            members = [] if column.groups is None else column.groups[subject].tolist()
            group = tuple(filter(None, map(image, members)))
            described[label] = Described(text, group, tuple(other_texts))
        return described

    def __len__(self) -> int:
        return len(self.ids)

    def _sampler(self, label: str, kind: DescriptionType[Any]) -> _TextSampler:
        column = self.columns[label]
        subject_of_image = column.subjects()
        classes = subject_labels(subject_of_image, self.zero_shot_labels).tolist()
        texts = [
            [text for text in subject_texts if text is not None] or [self._templates[class_]]
            for subject_texts, class_ in zip(column.texts, classes, strict=True)
        ]
        # If a plugin's description lacks this option, groups are redrawn, as in the publication.
        redraw = kind.scope == "group" and bool(getattr(kind.options, "redraw", True))
        counts = torch.tensor([len(subject_texts) for subject_texts in texts], dtype=torch.int64)
        most_texts = int(counts.max()) if len(texts) else 1
        rows = torch.full((len(texts), most_texts), ABSENT, dtype=torch.int64)
        rows[torch.arange(most_texts) < counts[:, None]] = self._intern(
            [text for subject_texts in texts for text in subject_texts]
        )
        return _TextSampler(label, rows, subject_of_image, self.zero_shot_labels, redraw)

    def _intern(self, texts: Sequence[str]) -> Tensor:
        table = self._row_of_text
        rows = [table.setdefault(text, len(table)) for text in texts]
        return torch.tensor(rows, dtype=torch.int64)


class _TextSampler:
    """Sampler for one description of the recipe: draws one text per image and epoch.

    The texts are about S subjects, which are images or groups of images. `rows` (S, V) has the
    indices of the texts about each subject, padded with `ABSENT`. `own` (N,) is the index of each
    image's subject. If `redraw` is true, an image gets a text about a random subject with the same
    zero-shot label.
    """

    def __init__(
        self,
        label: str,
        rows: Tensor,
        subject_of_image: Tensor,
        zero_shot_labels: Tensor,
        redraw: bool,
    ) -> None:
        self.rows = rows
        self.subject_of_image = subject_of_image
        self._label = label
        self._counts = (rows != ABSENT).sum(dim=1)
        self._one_text = rows.shape[1] == 1
        self._redraw = redraw
        if redraw:
            labels = subject_labels(subject_of_image, zero_shot_labels)
            counts = torch.bincount(labels)
            self._by_label = labels.argsort(stable=True)
            self._first = (counts.cumsum(0) - counts)[zero_shot_labels]
            self._candidates = counts[zero_shot_labels]
        self._sampled: Callable[[int, int], Tensor] = lru_cache(maxsize=2)(self._sample_all)

    def sample(self, indices: Tensor, epoch: int, seed: int) -> Tensor:
        if self._one_text and not self._redraw:
            return self.rows[self.subject_of_image[indices], 0]
        return self._sampled(epoch, seed)[indices]

    def _sample_all(self, epoch: int, seed: int) -> Tensor:
        """Sample one text for each of N images, for a whole epoch; return text indices (N,)."""
        subjects = self.subject_of_image
        if self._redraw:
            uniform = self._uniform("redraw", epoch, seed)
            subjects = self._by_label[self._first + (uniform * self._candidates).long()]
        if self._one_text:
            return self.rows[subjects, 0]
        uniform = self._uniform("variant", epoch, seed)
        return self.rows[subjects, (uniform * self._counts[subjects]).long()]

    def _uniform(self, purpose: str, epoch: int, seed: int) -> Tensor:
        derived = seed_from(f"{purpose} {self._label}", seed, epoch)
        generator = torch.Generator().manual_seed(derived)
        return torch.rand(len(self.subject_of_image), dtype=torch.float64, generator=generator)
