"""Read the files of a run folder that have a row per image. Imports no torch."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from latte.evaluate.predictions import LEAST_MATCH
from latte.interfaces.questions import NONE_OF_THESE
from latte.results.folder import RunFolder
from latte.results.stored import explained, read_json_lines, read_stored, same_count

PSEUDO_LABEL_COLUMNS = ("image", "zero_shot", "adapted", "confidence", "series")
PSEUDO_LABEL_NONE_COLUMNS = (*PSEUDO_LABEL_COLUMNS, "class_1", "score_1", "match")
"""Columns of a run with answers "none of these": the likeliest class is apart from the label."""
_WITHOUT_SERIES = PSEUDO_LABEL_COLUMNS[:-1]
"""Columns of files that were written before runs found series."""
SERIES_COLUMNS = ("image", "series", "origin")
NEAR_COPY_COLUMNS = ("image", "training_image")


@dataclass(frozen=True)
class PseudoLabels:
    """Labels of the N training images by zero-shot CLIP and by one model of the run."""

    frozen: tuple[int, ...]
    adapted: tuple[int, ...]
    """The likeliest class, even of images that are called none of the classes."""
    confidence: tuple[float, ...]
    """Probability of the model's class."""
    none: frozenset[int] = frozenset()
    """Indices of the images whose label is "none of these"."""


class RankedClasses(NamedTuple):
    """The one or two likeliest classes of an image."""

    image: str
    labels: tuple[int, ...]
    """The likeliest class, then the second likeliest if the file has it."""
    confidences: tuple[float, ...]
    none: float | None = None
    """Probability of "none of these" if this is the image's label, else None."""

    def named(self, class_names: Sequence[str]) -> tuple[str, float]:
        """Return the image's label, be it a class or "none of these", and its probability."""
        if self.none is not None:
            return NONE_OF_THESE, self.none
        return class_names[self.labels[0]], self.confidences[0]


class Rows:
    """Rows about the images of a run; each file is read and checked when it is first used.

    If a file is missing, damaged or belongs to other classes, a `LatteError` names the file and the
    fix. `class_names` are the names in label order.
    """

    def __init__(self, folder: RunFolder, class_names: Sequence[str]) -> None:
        self._folder = folder
        self._label_of = {name: label for label, name in enumerate(class_names)}

    @cached_property
    def pseudo_labels(self) -> PseudoLabels:
        """The zero-shot labels, and the labels by the model that the run uses."""
        return self._pseudo_labels(self._folder.pseudo_labels)

    @cached_property
    def adapted_labels(self) -> PseudoLabels:
        """The zero-shot labels, and those by the adapted model, even if the run does not use it."""
        path = self._folder.adapted_model.pseudo_labels
        is_apart = self._folder.wrote("evaluate", path)
        return self._pseudo_labels(path) if is_apart else self.pseudo_labels

    @cached_property
    def corrected(self) -> dict[str, int]:
        """The classes that a person gave before the run, by content key; -1 for none of them."""
        path, classes = self._folder.corrected, len(self._label_of)
        if not self._folder.wrote("train", path):
            return {}
        labels = read_stored(path, dict[str, int])
        with explained(path):
            if not all(-1 <= label < classes for label in labels.values()):
                raise ValueError(f"a label is none of {classes} classes")
        return labels

    def _pseudo_labels(self, path: Path) -> PseudoLabels:
        labels, confidences, none = array("l"), array("d"), array("l")
        for row, (frozen, answer) in enumerate(self._pseudo_label_rows(path)):
            labels.extend((frozen, answer.labels[0]))
            confidences.append(answer.confidences[0])
            if answer.none is not None:
                none.append(row)
        return PseudoLabels(
            tuple(labels[::2]), tuple(labels[1::2]), tuple(confidences), frozenset(none)
        )

    def pseudo_label_rows(self) -> Iterator[tuple[int, RankedClasses]]:
        """Yield the zero-shot label and the adapted classes of each training image, in order."""
        return self._pseudo_label_rows(self._folder.pseudo_labels)

    def _pseudo_label_rows(self, path: Path) -> Iterator[tuple[int, RankedClasses]]:
        label_of = self._label_of
        with explained(path), path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = tuple(next(rows, ()))
            if header not in (PSEUDO_LABEL_COLUMNS, PSEUDO_LABEL_NONE_COLUMNS, _WITHOUT_SERIES):
                raise ValueError("its first line does not name its columns")
            for image, frozen, adapted, confidence, *further in rows:
                answer = self._own_answer(image, adapted, float(confidence), further[1:])
                yield label_of[frozen], answer

    @cached_property
    def predicted_labels(self) -> tuple[int, ...]:
        """The likeliest class (label) of each evaluation image, from `predictions.csv`."""
        return tuple(answer.labels[0] for answer in self.prediction_rows())

    def prediction_rows(self) -> Iterator[RankedClasses]:
        """Yield the two likeliest classes of each evaluation image, from `predictions.csv`."""
        path = self._folder.predictions
        with explained(path), path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                cells = ((row.get(f"class_{n}"), row.get(f"score_{n}")) for n in (1, 2))
                classes = [(name, float(score)) for name, score in cells if name and score]
                yield self._answer(row["image"], classes)

    @cached_property
    def uncertain(self) -> tuple[RankedClasses, ...]:
        """The two likeliest classes of the least certain training images, least certain first."""
        path = self._folder.uncertain
        with explained(path):
            return tuple(
                self._answer(row.image, [(scored.name, scored.score) for scored in row.classes])
                for row in read_json_lines(path, _UncertainLine)
            )

    def _own_answer(
        self, image: str, label: str, confidence: float, class_cells: Sequence[str]
    ) -> RankedClasses:
        """Return the class of an image; `class_cells` are class, score and match, if any."""
        if not class_cells:
            return self._answer(image, [(label, confidence)])
        name, score, match = class_cells
        answer = self._answer(image, [(name, float(score))])
        if float(match) >= LEAST_MATCH:
            return answer
        if label != NONE_OF_THESE or not 0 <= confidence <= 1:
            raise ValueError("an image of no class has another label")
        return answer._replace(none=confidence)

    def _answer(self, image: str, classes: Sequence[tuple[str, float]]) -> RankedClasses:
        if not classes:
            raise ValueError("a line names no class")
        # Rounding puts some probabilities above 1.
        if not all(0 <= score <= 1 + 1e-4 for _, score in classes):
            raise ValueError("a confidence is not between 0 and 1")
        labels = tuple(self._label_of[name] for name, _ in classes)
        return RankedClasses(image, labels, tuple(score for _, score in classes))

    @cached_property
    def series(self) -> tuple[int, ...]:
        """The series of each training image; each image is alone if the run did not look for any.

        The numbers are those of `data/series.csv`.
        """
        if not self._folder.wrote("evaluate", self._folder.series):
            return tuple(range(len(self.training_ids)))
        rows = [number for _, number, _ in self.series_rows()]
        same_count(self._folder.series, "training images", [len(rows), len(self.training_ids)])
        return tuple(rows)

    def series_rows(
        self, training_ids: Sequence[str] | None = None
    ) -> Iterator[tuple[str, int, tuple[str, ...]]]:
        """Yield id, series and origins of the series of each training image, in order.

        Without the `training_ids`, they are read from the run folder and kept in memory.
        """
        path, ids = self._folder.series, training_ids or self.training_ids
        with explained(path), path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, None) != list(SERIES_COLUMNS):
                raise ValueError("its first line does not name its columns")
            for expected, (image, number, origins) in zip(ids, rows, strict=False):
                if image != expected or not 0 <= int(number) < len(ids):
                    raise ValueError(f"it has no series of {expected}")
                yield image, int(number), tuple(origins.split())

    def near_copies(self) -> Iterator[tuple[str, str]]:
        """Yield the ids of each test image that is a near-copy, and of the training image."""
        path = self._folder.near_copies
        if not self._folder.wrote("evaluate", path):
            return
        with explained(path), path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, None) != list(NEAR_COPY_COLUMNS):
                raise ValueError("its first line does not name its columns")
            yield from ((image, training) for image, training in rows)

    @cached_property
    def training_keys(self) -> tuple[str, ...]:
        """The content key of each training image."""
        return tuple(image.key for image in self._training_images)

    @cached_property
    def training_ids(self) -> tuple[str, ...]:
        """The id of each training image."""
        return tuple(image.id for image in self._training_images)

    @cached_property
    def _training_images(self) -> list[_TrainingLine]:
        return read_json_lines(self._folder.training_images, _TrainingLine)


@dataclass(frozen=True)
class _TrainingLine:
    """The fields of a line of `data/training.jsonl`."""

    id: str
    key: str


@dataclass(frozen=True)
class _ScoredClass:
    """A class in a line of `uncertain.jsonl`."""

    name: Annotated[str, Field(alias="class")]
    score: float


@dataclass(frozen=True)
class _UncertainLine:
    """A line of `uncertain.jsonl`."""

    image: str
    classes: list[_ScoredClass]
