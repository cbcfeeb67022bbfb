"""Review of a run by a person: questions about images, the answers, and an estimate from them.

All answers can teach the next model; answers about images that were drawn at random also measure
the gain of the reviewed run over zero-shot CLIP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

from latte.data.sources.classes import ClassLookup
from latte.interfaces import LatteError
from latte.results.answers import (
    Answer,
    Kind,
    append_answers,
    latest,
    measuring,
    newest,
    now,
    read_answers,
)
from latte.results.estimate import estimate
from latte.results.evidence import Evidence, next_step, unknown_classes
from latte.results.population import Population, ReviewImage, population
from latte.results.run import Run
from latte.results.stored import explained, read_stored, same_count
from latte.review.tasks import TASKS, Place, TaskName, groups, measurements, sheets

if TYPE_CHECKING:  # it imports torch
    from latte.review.order import Asking


@dataclass(frozen=True)
class Mark:
    """A person's answer about one image."""

    key: str
    kind: Kind
    label: str | None = None
    """The name of the class if `kind` is `class`, else None."""


@dataclass(frozen=True)
class Stored:
    """The answers in the file of a review, read once."""

    lines: tuple[Answer, ...]
    """The answers in the order of the file, undone ones included."""
    class_names: tuple[str, ...]

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The newest answer about each image, by content key, without undone answers.

        Answers that name no class of the run are left out; their images are asked about again.
        """
        return self._known(latest(self.lines))

    @cached_property
    def measuring(self) -> dict[str, Answer]:
        """The answers about images that were drawn at random, by content key."""
        return self._known(measuring(self.lines))

    def unused(self, since: str) -> int:
        """Return the number of images whose class differs from the answers at the time `since`."""
        used = _labels(answer for answer in self.lines if answer.time <= since)
        return len({key for key, _ in used.items() ^ _labels(self.lines).items()})

    def answered_by(self, time: str, keys: Iterable[str]) -> set[str]:
        """Return those of the content keys `keys` whose newest answer is from `time` or before."""
        answers = self.answers
        return {key for key in keys if key in answers and answers[key].time <= time}

    @cached_property
    def unknown(self) -> Counter[str | None]:
        """Number of answers per name that is no class of the run, such as a class's old name."""
        class_names = {None, *self.class_names}
        labels = (answer.label for answer in latest(self.lines).values())
        return Counter(label for label in labels if label not in class_names)

    def _known(self, answers: Mapping[str, Answer]) -> dict[str, Answer]:
        return {key: answer for key, answer in answers.items() if answer.label not in self.unknown}


class Review:
    """A run under review, and a person's answers in its file `review.jsonl`.

    Other processes may append answers to this file at any time.

    The review compares zero-shot CLIP with the adapted model, even if the guard did not accept it.

    Raises `LatteError` if a file of the run is missing or damaged.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.file = run.folder.review
        self._labelled = _labelled(run)
        self.population = _population(run, self._labelled)
        self.images = self.population.images
        """The images in random order, with the labels by the newest model."""
        self.since = ""
        """Time of the newest model; it has learned from the answers before it."""
        self.doubtful = _doubtful(run)
        """Content keys of answered images whose answers contradict all others."""
        self.asking: Asking | None = None
        """Order of the images by the expected gain of an answer, if it is known."""

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return self.run.folder.path.absolute().name

    def adopt(self, taught: Run, since: str) -> None:
        """Ask about the labels by the model `taught`, which learned from answers before `since`."""
        self.images, self.since = _population(taught, self._labelled).images, since
        self.doubtful = _doubtful(taught)

    @cached_property
    def _by_key(self) -> dict[str, ReviewImage]:
        return {image.key: image for image in self.images}

    def stored(self) -> Stored:
        """Read the answers, with class names as the run spells them."""
        answers = tuple(map(self._with_spelling, self._answers()))
        return Stored(answers, self.run.class_names)

    def _answers(self) -> list[Answer]:
        """Read the file of answers, which may be untrusted; raise `LatteError` for a link."""
        if self.file.is_symlink():
            what = "this is a link, and a review reads and writes no file through one"
            raise LatteError(what, where=str(self.file), hint="replace it by a file")
        return read_answers(self.file)

    def _with_spelling(self, answer: Answer) -> Answer:
        label = answer.label and self._spelt(answer.label)
        return answer if label == answer.label else replace(answer, label=label)

    @cached_property
    def _spelt(self) -> Callable[[str], str]:
        """Function that spells a class name as the run does; other names stay as they are."""
        names = self.run.class_names
        lookup = ClassLookup(names)

        @cache
        def spelt(name: str) -> str:
            with suppress(LatteError):  # an unknown or ambiguous name
                return names[lookup.label(name, where="review.jsonl")]
            return name

        return spelt

    def answers(self) -> dict[str, Answer]:
        """Return the newest answer about each image, by content key, without undone answers."""
        return self.stored().answers

    def evidence(self, stored: Stored | None = None) -> Evidence:
        """Return the estimated gain of the adapted model."""
        stored = self.stored() if stored is None else stored
        names = self.run.class_names
        return Evidence(
            estimate(self.population, stored.measuring, names),
            len(stored.answers.keys() - stored.measuring.keys()),
            unknown_classes(stored.unknown, names, self.file),
        )

    def next_step(self, stored: Stored) -> str:
        """Return the command that teaches a model with new answers; empty if there are none."""
        return next_step(stored.unused(self.since), self.run.folder.path)

    def questions(
        self, place: Place, stored: Stored | None = None
    ) -> Iterator[Sequence[ReviewImage]]:
        """Yield the images of each open question of a task, in the order of asking."""
        stored = self.stored() if stored is None else stored
        if place.task == "clusters":
            return groups(self.images, stored.answers, self.since)
        if place.task == "images":
            unchecked = stored.answered_by(self.since, self.doubtful)
            first_keys = (*self.doubtful, *(self.asking.keys if self.asking else ()))
            return sheets(self.images, stored.answers, place, first_keys, unchecked)
        return ((image,) for image in measurements(self.population, stored.measuring))

    def left(self, place: Place, stored: Stored) -> int:
        """Return the number of groups or images that a task still asks about."""
        questions = self.questions(place, stored)
        return sum(1 if place.task == "clusters" else len(images) for images in questions)

    def save(self, task: TaskName, marks: Sequence[Mark]) -> str:
        """Append the answers to one question, and return their time, by which `undo` finds them.

        Raises `LatteError`, and appends nothing, for an unknown image, class or task.
        """
        if task not in TASKS:
            raise LatteError(f'there is no task "{task}"', hint=f"one of: {', '.join(TASKS)}")
        for mark in marks:
            if mark.key not in self._by_key:
                raise LatteError("no image of this run has this content key", where=mark.key)
            is_class = mark.label in self.run.class_names
            if is_class != (mark.kind == "class") or (not is_class and mark.label is not None):
                raise LatteError(f'"{mark.label}" is none of the class names', where=mark.key)
        self._answers()  # raises an error if the file is damaged
        time, ids = now(), self.run.rows.training_ids
        append_answers(
            self.file,
            [
                Answer(
                    mark.key,
                    mark.kind,
                    mark.label,
                    task,
                    self.name,
                    time,
                    ids[self._by_key[mark.key].row],
                )
                for mark in marks
            ],
        )
        return time

    def undo(self, time: str) -> TaskName:
        """Undo the answers that were saved at `time`, and return their task.

        Each image gets back the answer that it had before; an image that has been answered again
        since keeps its new answer. Raises `LatteError` if there is no such answer.
        """
        lines = self._answers()
        saved = [answer for answer in lines if answer.time == time and answer.kind != "undo"]
        task = next((name for name in TASKS if saved and saved[0].queue == name), None)
        if task is None:
            raise LatteError("these answers are not in the file any more", where=str(self.file))
        earlier = latest(lines[: lines.index(saved[0])])
        current = [answer for answer in newest(lines).values() if answer in saved]
        undone = [replace(answer, kind="undo", label=None, time=now()) for answer in current]
        restored = [earlier[answer.key] for answer in current if answer.key in earlier]
        append_answers(self.file, [*undone, *restored])
        return task


def _labels(lines: Iterable[Answer]) -> dict[str, str]:
    """Return the class names that the answers give, by content key."""
    answers = latest(lines).items()
    return {key: answer.label for key, answer in answers if answer.label is not None}


def _population(run: Run, labelled: frozenset[str]) -> Population:
    labels = run.rows.adapted_labels
    keys = run.rows.training_keys
    same_count(run.folder.pseudo_labels, "training images", [len(keys), len(labels.adapted)])
    return population(keys, labels.frozen, labels.adapted, labels.confidence, labelled)


def _labelled(run: Run) -> frozenset[str]:
    """Return the content keys of the images whose class a person gave before the run."""
    path = run.folder.corrected
    if not run.folder.wrote("train", path):
        return frozenset()
    with explained(path):
        return frozenset(read_stored(path, dict[str, int]))


def _doubtful(run: Run) -> tuple[str, ...]:
    """Return the content keys of the images whose answers contradict all others."""
    answers = run.record.train.answers
    if answers is None or answers.measured is None or not answers.measured.doubtful:
        return ()
    key_of = dict(zip(run.rows.training_ids, run.rows.training_keys, strict=True))
    return tuple(key_of[image] for image in answers.measured.doubtful if image in key_of)
