"""Read and check the files of finished runs. Imports no torch."""

from __future__ import annotations

import csv
import glob
import os
import shlex
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from latte.interfaces import (
    Calibration,
    CutTexts,
    Evaluation,
    ExpectedGain,
    HeldBack,
    LatteError,
    PresentNames,
    QuestionCounts,
    Verdict,
)
from latte.interfaces.guard import check_verdict
from latte.io.paths import exists, is_folder, relative
from latte.recipe.component import is_label
from latte.recipe.document import read_document
from latte.recipe.variables import AsWritten
from latte.results.folder import RunFolder, StageRecord
from latte.results.identity import STAGES
from latte.results.metrics_log import read_metrics
from latte.results.stored import (
    AskedQuestions,
    StoredT,
    check_calibration,
    check_cut_texts,
    check_evaluations,
    check_held_back,
    check_present,
    check_questions,
    checked_names,
    explained,
    metadata,
    open_tensors,
    read_json_lines,
    read_stored,
)

PSEUDO_LABEL_COLUMNS = ("image", "zero_shot", "adapted", "confidence")
_DEPTH_IN_RUN = 2
"""Depth of the folders in a run folder, as in `RUN/candidate/model`."""
_SHOWN_RUNS = 3


@dataclass(frozen=True)
class Source:
    """Fields that are read from `source.json`: the recipe's path, and the limit of images."""

    recipe: str
    limit: int | None
    recipe_from_run: str | None = None
    """The recipe's path relative to the run folder; None if they are on different drives."""


@dataclass(frozen=True)
class PseudoLabels:
    """Labels that zero-shot CLIP and the adapted model give the N training images."""

    frozen: tuple[int, ...]
    adapted: tuple[int, ...]
    confidence: tuple[float, ...]
    """The adapted model's probability of the adapted label."""


class RankedClasses(NamedTuple):
    """The one or two likeliest classes of an image."""

    image: str
    labels: tuple[int, ...]
    """The likeliest class, then the second likeliest if the file has it."""
    confidences: tuple[float, ...]


class FinishedRun:
    """The files of a run folder; each is read and checked when it is first used, then cached.

    If a file is missing, damaged or belongs to other classes, access to its attribute raises a
    `LatteError` that names the file and the fix. The attribute is None or empty if the recipe
    does not write the file.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @cached_property
    def candidate(self) -> FinishedRun:
        """The files of the candidate: an adapted model that the guard did not accept in full."""
        return FinishedRun(self.folder.candidate)

    @cached_property
    def source(self) -> Source:
        """The path of the recipe, and the `--limit` on the number of images.

        If run folder and recipe were moved together, this is the recipe's new path.
        """
        found = read_stored(self.folder.source, Source)
        from_run = found.recipe_from_run
        with explained(self.folder.source):
            if "\0" in f"{found.recipe}{from_run}" or not found.recipe:
                raise ValueError("its recipe is no path")
            if found.limit is not None and found.limit < 1:
                raise ValueError("its limit is no number of images")
        if from_run is None or exists(Path(found.recipe)):
            return found
        moved = Path(os.path.normpath(self.folder.path / from_run))
        if exists(moved) or not is_folder(Path(found.recipe).parent):
            return replace(found, recipe=str(moved))
        return found

    def repeat_command(self, *options: str, name: str | None = None) -> str:
        """Return the command that makes this run again, or finishes it, with more `options`.

        `name` is the text that names the run folder; the default is its path.
        """
        limit = self.source.limit if self.folder.source.exists() else None
        options += () if limit is None else ("--limit", str(limit))
        recipe = f"{name or relative(self.folder.path)}/recipe.yaml"
        return shlex.join(["latte", "run", recipe, *options])

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe; environment variables in its values are not replaced."""
        recipe: dict[str, Any] = read_document(self.folder.recipe, AsWritten()).data
        return recipe

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Content of `environment.json`: versions of packages, device and machine."""
        return read_stored(self.folder.environment, dict[str, Any])

    @cached_property
    def records(self) -> dict[str, StageRecord]:
        """The records of finished stages, by stage name, in order."""
        found = {stage: self.folder.recorded(stage) for stage in STAGES}
        return {stage: record for stage, record in found.items() if record}

    @cached_property
    def metrics(self) -> tuple[dict[str, Any], ...]:
        """The rows of `metrics.jsonl`."""
        return tuple(read_metrics(self.folder.metrics))

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The C class names, in label order, from the file of prototypes."""
        return self._about_prototypes[0]

    @cached_property
    def learners(self) -> tuple[str, ...]:
        """The names of the learners."""
        return self._about_prototypes[1]

    @cached_property
    def _about_prototypes(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if not self.folder.prototypes.exists():
            hint = "give the folder that `latte run` named at its end, or run its recipe to the end"
            what = "there is no trained model in this run folder"
            raise LatteError(what, where=str(self.folder.path), hint=hint)
        with open_tensors(self.folder.prototypes, framework="np") as file:
            about = metadata(file)
            names = checked_names(about["class_names"])
            learners = checked_names(about["learners"])
            if not all(map(is_label, learners)):
                raise ValueError("a learner has a name that no recipe can give it")
        return names, learners

    @cached_property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """The accuracies that stage `evaluate` measured; empty without an evaluation split."""
        return tuple(_checked(self.folder.evaluation, list[Evaluation], check_evaluations))

    @cached_property
    def verdict(self) -> Verdict | None:
        """The guard's verdict (what the run uses, and why); None if the recipe has no guard."""
        return self._optional("train", self.folder.verdict, Verdict, check_verdict)

    @property
    def has_candidate(self) -> bool:
        """True if the guard did not accept the adapted model in full; see `candidate`."""
        return self.verdict is not None and self.verdict.strength < 1

    @cached_property
    def held_back(self) -> tuple[HeldBack, ...]:
        """Numbers of texts that gates (checks of texts) held back, per description and gate."""
        found = self._optional("describe", self.folder.gates, list[HeldBack], check_held_back)
        return tuple(found or ())

    @cached_property
    def cut_texts(self) -> tuple[CutTexts, ...]:
        """Number of texts that the text tower truncates, per description with such texts."""
        found = self._optional("train", self.folder.cut_texts, list[CutTexts], check_cut_texts)
        return tuple(found or ())

    @property
    def questions(self) -> tuple[QuestionCounts, ...]:
        """Numbers of questions that a labeler asked a describer, by purpose; empty if none."""
        return () if self._asked is None else tuple(self._asked.counts)

    @property
    def expected_gain(self) -> ExpectedGain | None:
        """Gain that a labeler expects from a describer's answers; None if it estimated none."""
        return None if self._asked is None else self._asked.expected_gain

    @property
    def reliability(self) -> str | None:
        """Sentence by a labeler on its describer's reliability; None if there is none."""
        return None if self._asked is None else self._asked.reliability

    @cached_property
    def _asked(self) -> AskedQuestions | None:
        return self._optional("train", self.folder.questions, AskedQuestions, check_questions)

    @cached_property
    def calibration(self) -> Calibration | None:
        """The calibration of the run's confidence; None if the run was not evaluated."""
        return self._optional("evaluate", self.folder.calibration, Calibration, check_calibration)

    @cached_property
    def present(self) -> PresentNames | None:
        """The estimate of which classes occur; None if the run was not evaluated."""
        path = self.folder.present
        return self._optional(
            "evaluate", path, PresentNames, lambda found: check_present(found, self.class_names)
        )

    @cached_property
    def pseudo_labels(self) -> PseudoLabels:
        """The zero-shot labels and the adapted labels of the training images."""
        labels, confidences = array("l"), array("d")
        for frozen, answer in self.pseudo_label_rows():
            labels.extend((frozen, answer.labels[0]))
            confidences.append(answer.confidences[0])
        return PseudoLabels(tuple(labels[::2]), tuple(labels[1::2]), tuple(confidences))

    def pseudo_label_rows(self) -> Iterator[tuple[int, RankedClasses]]:
        """Yield the zero-shot label and the adapted classes of each training image, in order."""
        path, label_of = self.folder.pseudo_labels, self._label_of
        with explained(path), path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, None) != list(PSEUDO_LABEL_COLUMNS):
                raise ValueError("its first line does not name its columns")
            for image, frozen, adapted, confidence in rows:
                yield label_of[frozen], self._answer(image, [(adapted, float(confidence))])

    @cached_property
    def predicted_labels(self) -> tuple[int, ...]:
        """The likeliest class (label) of each evaluation image, from `predictions.csv`."""
        return tuple(answer.labels[0] for answer in self.prediction_rows())

    def prediction_rows(self) -> Iterator[RankedClasses]:
        """Yield the two likeliest classes of each evaluation image, from `predictions.csv`."""
        path = self.folder.predictions
        with explained(path), path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                cells = ((row.get(f"class_{n}"), row.get(f"score_{n}")) for n in (1, 2))
                classes = [(name, float(score)) for name, score in cells if name and score]
                yield self._answer(row["image"], classes)

    @cached_property
    def uncertain(self) -> tuple[RankedClasses, ...]:
        """The two likeliest classes of the least certain training images, least certain first."""
        path = self.folder.uncertain
        with explained(path):
            return tuple(
                self._answer(row.image, [(one.name, one.score) for one in row.classes])
                for row in read_json_lines(path, _Row)
            )

    def _optional(
        self, stage: str, path: Path, kind: type[StoredT], check: Callable[[Any], None]
    ) -> StoredT | None:
        """Return the value of a file that `stage` may write; None if the stage did not write it."""
        return _checked(path, kind, check) if self.folder.wrote(stage, path) else None

    def _answer(self, image: str, classes: Sequence[tuple[str, float]]) -> RankedClasses:
        if not classes:
            raise ValueError("a line names no class")
        # Rounding puts some probabilities above 1.
        if not all(0 <= score <= 1 + 1e-4 for _, score in classes):
            raise ValueError("a confidence is not between 0 and 1")
        labels = tuple(self._label_of[name] for name, _ in classes)
        return RankedClasses(image, labels, tuple(score for _, score in classes))

    @cached_property
    def training_keys(self) -> tuple[str, ...]:
        """The content key of each training image."""
        return tuple(one.key for one in self._training_images)

    @cached_property
    def training_ids(self) -> tuple[str, ...]:
        """The id of each training image."""
        return tuple(one.id for one in self._training_images)

    @cached_property
    def _training_images(self) -> list[_Image]:
        return read_json_lines(self.folder.training_images, _Image)

    @cached_property
    def _label_of(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.class_names)}


def _checked(path: Path, kind: type[StoredT], check: Callable[[Any], None]) -> StoredT:
    """Return the value in a JSON file. Raises `LatteError` if `check` raises `ValueError`."""
    found = read_stored(path, kind)
    with explained(path):
        check(found)
    return found


def open_run(path: Path) -> FinishedRun:
    """Open the run folder at `path`. Raises `LatteError` if `path` is not a run folder."""
    folder = RunFolder(path.absolute())
    if not folder.recipe.exists():
        raise LatteError("this is not a run folder", where=str(path), hint=_near_runs(path))
    return FinishedRun(folder)


def open_finished(path: Path) -> FinishedRun:
    """Open the run folder at `path`; results may be missing.

    Raises `LatteError` if `path` is not a run folder, or if a repeated run was interrupted, so that
    the folder mixes files of two runs.
    """
    run = open_run(path)
    written = {"train": run.folder.prototypes, "evaluate": run.folder.evaluation}
    begun = [
        stage for stage, file in written.items() if run.folder.state.exists() and file.exists()
    ]
    due = STAGES[: STAGES.index(begun[-1]) + 1] if begun else ()
    missing = next((stage for stage in due if stage not in run.records), None)
    if missing is not None:
        what = f"this run is not finished (stage {missing} is missing)"
        raise LatteError(what, where=str(path), hint=f"finish it: {run.repeat_command()}")
    return run


def _near_runs(path: Path) -> str | None:
    """Return a hint: the run folder that contains `path`, or run folders that `path` may mean."""
    place = Path(os.path.abspath(path))  # noqa: PTH100 - `absolute` keeps `..` as a parent
    for parent in place.parents[:_DEPTH_IN_RUN]:
        run = RunFolder(parent)
        if run.recipe.exists() and run.source.exists():  # not a folder with any recipe.yaml
            return f"it is part of the run folder {relative(parent)}: name that"
    # Reports name a run folder without its parent.
    deeper = sorted(place.parent.glob(f"*/{glob.escape(place.name)}/recipe.yaml"))
    if place.name and deeper:
        return f"Did you mean {' or '.join(relative(one.parent) for one in deeper[:_SHOWN_RUNS])}?"
    inside = sorted(path.glob("*/recipe.yaml"), key=lambda one: one.stat().st_mtime, reverse=True)
    if inside:
        shown = ", ".join(str(one.parent) for one in inside[:_SHOWN_RUNS])
        more = f" and {len(inside) - _SHOWN_RUNS} more" if len(inside) > _SHOWN_RUNS else ""
        return f"name a run folder in it, the newest first: {shown}{more}"
    beside = sorted(one.parent.name for one in place.parent.glob("*/recipe.yaml"))
    return f"run folders beside it: {', '.join(beside)}" if beside else None


@dataclass(frozen=True)
class _Image:
    """The fields of a line of `data/training.jsonl`."""

    id: str
    key: str


@dataclass(frozen=True)
class _Score:
    """A class in a line of `uncertain.jsonl`."""

    name: Annotated[str, Field(alias="class")]
    score: float


@dataclass(frozen=True)
class _Row:
    """A line of `uncertain.jsonl`."""

    image: str
    classes: list[_Score]
