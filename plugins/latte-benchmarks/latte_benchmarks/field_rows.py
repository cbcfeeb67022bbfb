"""Measure methods on drawn folders: gains over zero-shot CLIP, seconds and memory."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import numpy
import torch
from torch import Tensor

from latte.api import Backbone, Classifier, Context, Progress, TrainingStart
from latte_benchmarks.field_methods import ZERO_SHOT, FieldMethod
from latte_benchmarks.folder_cells import (
    CELL,
    NO_CLASS,
    Folder,
    FolderCell,
    LabelledSet,
    draw,
    drawable,
)

BALANCED = "all names"
CELLS = {
    BALANCED: "balanced",
    "a fifth of the set's names": "few names",
    "50 images": "fifty images",
    "long tail": "long tail",
    "30 % of no class": "foreign images",
}
"""Titles on the page, by the names of cells."""
ANSWERS_PER_CLASS = 5


@dataclass(frozen=True)
class FieldRow:
    """Result of a method on one folder; gains are over zero-shot CLIP, in percentage points."""

    set: str
    cell: str
    draw: int
    method: str
    answers: int
    """Number of images per class whose class was given."""
    images: int
    counted: int
    """Number of own images that show a name and were not given a class; gains are of these."""
    zero_shot: float
    """Accuracy of zero-shot CLIP on these images, in percent."""
    own: float
    unseen: float
    """Gain on unseen images of the set, with equal weight of all classes."""
    seconds: float
    mebibytes: float | None
    """Largest additional memory while the method ran; None where the system does not tell."""


COLUMNS = tuple(field.name for field in fields(FieldRow))


class TextCache:
    """A CLIP that encodes each text once, so that methods are timed without the text tower."""

    def __init__(self, clip: Backbone) -> None:
        self._clip = clip
        self._features: dict[str, Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        """Return everything else of the CLIP, such as its logit scale."""
        return getattr(self._clip, name)

    @property
    def encoded(self) -> int:
        """Number of texts that were encoded so far."""
        return len(self._features)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) of M texts."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._features]
        if missing:
            with torch.no_grad():
                self._features |= zip(missing, self._clip.encode_texts(missing), strict=True)
        return torch.stack([self._features[text] for text in texts])

    @property
    def backbone(self) -> Backbone:
        """The cache itself, for functions that take a CLIP."""
        return cast("Backbone", self)


def measured_rows(
    sets: Sequence[LabelledSet],
    methods: Sequence[FieldMethod],
    draws: int,
    clip: TextCache,
    progress: Progress,
) -> Iterator[FieldRow]:
    """Yield the rows of all sets, cells, draws and methods; with answers in the balanced cell.

    A cell that cannot be drawn from a set is left out. Only own folders of all names have answers.
    """
    cells = [CELL[name] for name in CELLS]
    due = [
        (labelled, cell, number)
        for labelled in sets
        for cell in drawable(labelled, cells, sets, progress)
        for number in range(draws)
    ]
    with progress.task("compare methods", len(due), "folders") as task:
        for labelled, cell, number in due:
            folder = draw(labelled, cell, number, sets)
            yield from _rows(folder, (labelled.name, cell, number), methods, clip)
            task.advance(1, set=labelled.name)


def _rows(
    folder: Folder,
    place: tuple[str, FolderCell, int],
    methods: Sequence[FieldMethod],
    clip: TextCache,
) -> Iterator[FieldRow]:
    name, cell, number = place
    numbers = (0, ANSWERS_PER_CLASS) if cell.name == BALANCED else (0,)
    for answers in numbers:
        answered = replace(folder, corrections=_answers(folder, answers, number))
        start = _start(answered)
        for method in methods:
            if answers and not (method.about.answers or method.about.name == ZERO_SHOT):
                continue
            labels, classifier, seconds, memory = _fit(method, start, clip, number)
            yield _row(
                answered,
                FieldRow(
                    *(name, cell.name, number, method.about.name, answers, len(folder.own)),
                    *(0, 0.0, 0.0, 0.0),
                    seconds,
                    memory,
                ),
                labels,
                classifier.similarities(folder.test.features).argmax(dim=1),
            )


def _row(folder: Folder, row: FieldRow, own_labels: Tensor, unseen: Tensor) -> FieldRow:
    truth = folder.own.labels
    counted = truth >= 0
    if folder.corrections is not None:
        counted &= folder.corrections < 0
    zero_shot_labels = (folder.own.features @ folder.texts.T).argmax(dim=1)
    was, right = (
        100 * float((labels == truth)[counted].double().mean()) if bool(counted.any()) else 0.0
        for labels in (zero_shot_labels, own_labels)
    )
    test = folder.test
    unseen_before = (test.features @ folder.texts.T).argmax(dim=1)
    change = (unseen == test.labels).double() - (unseen_before == test.labels).double()
    return replace(
        row,
        counted=int(counted.sum()),
        zero_shot=was,
        own=right - was,
        unseen=100 * _mean_of_classes(change, test.labels),
    )


def _mean_of_classes(values: Tensor, labels: Tensor) -> float:
    means = [float(values[labels == label].mean()) for label in set(labels.tolist())]
    return float(numpy.mean(means)) if means else 0.0


def _answers(folder: Folder, per_class: int, number: int) -> Tensor | None:
    """Return the classes of random own images, `per_class` of each class that occurs."""
    if not per_class:
        return None
    labels = folder.own.labels
    random = numpy.random.default_rng([number, crc32(folder.own.features.numpy().tobytes())])
    order = torch.from_numpy(random.permutation(len(labels)))
    corrections = torch.full_like(labels, -1)
    for label in sorted({*labels.tolist()} - {NO_CLASS}):
        rows = order[labels[order] == label][:per_class]
        corrections[rows] = label
    return corrections


def _start(folder: Folder) -> TrainingStart:
    features = folder.own.features
    return TrainingStart(
        folder.names,
        folder.texts,
        features,
        (features @ folder.texts.T).argmax(dim=1),
        _no_descriptions,
        corrections=folder.corrections,
        encode_names=folder.encode_names,
    )


def _no_descriptions(name: str) -> Tensor:
    raise RuntimeError("methods of this comparison have no descriptions")


def _fit(
    method: FieldMethod, start: TrainingStart, clip: TextCache, seed: int
) -> tuple[Tensor, Classifier, float, float | None]:
    """Return labels (N,), the classifier of new images, seconds and mebibytes."""
    if method.components is None:
        texts = start.class_features
        classifier = Classifier(texts, torch.arange(len(texts)))
        return start.zero_shot_labels, classifier, 0.0, 0.0
    context = Context(Path.cwd(), Path.cwd(), "cpu", seed, lambda: clip.backbone)
    while True:
        texts_before, memory_before = clip.encoded, _memory(reset=True)
        begun = time.perf_counter()
        result = method.components.label(start, context)
        seconds, peak = time.perf_counter() - begun, _memory(reset=False)
        if clip.encoded == texts_before:
            memory = (
                None if memory_before is None or peak is None else max(0.0, peak - memory_before)
            )
            return result.labels, result.classifier, seconds, memory


def _return_freed_memory() -> None:
    """Give memory that was freed earlier back to the system, so that its use is seen again."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _memory(*, reset: bool) -> float | None:
    """Return the resident memory in MiB after a reset of its peak, or the peak since then."""
    with suppress(OSError, StopIteration, ValueError):
        if reset:
            _return_freed_memory()
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        field_name = "VmRSS:" if reset else "VmHWM:"
        return int(next(line for line in lines if line.startswith(field_name)).split()[1]) / 1024
    return None
