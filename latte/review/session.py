"""Review of a run by a person: questions about images, the answers, and an estimate from them.

All answers can teach the next model; answers about images that were drawn at random also measure
the gain of the reviewed run over zero-shot CLIP.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from latte.interfaces import LatteError
from latte.interfaces.answer_facts import LeftOutAnswers
from latte.io.files import digest_json
from latte.results.answers import (
    UNSEEN,
    Answer,
    AnswerKind,
    TaskName,
    append_answers,
    latest,
    newest,
    now,
    read_answers,
)
from latte.results.class_lists import ClassChange, digest_of_classes
from latte.results.one_per_series import one_per_series, shared_answers
from latte.results.population import ReviewImage
from latte.results.run import Run
from latte.results.run_answers import RunAnswers, Stored
from latte.results.taught_runs import next_step
from latte.review.class_names import changed_names
from latte.review.tasks import TASKS, TaskPlace, groups, is_open, measurements, sheets

if TYPE_CHECKING:
    from latte.review.asking import Asking


@dataclass(frozen=True)
class Mark:
    """A person's answer about one image."""

    key: str
    kind: AnswerKind
    label: str | None = None
    """The name of the class if `kind` is `class`, else None."""


class Review(RunAnswers):
    """A run under review: the questions about its images, and the answers that are saved.

    The task `evidence` compares zero-shot CLIP with the adapted model, even if the guard did not
    accept it. The labels to look through are those of the model that the run uses.

    Raises `LatteError` if a file of the run is missing or damaged.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        keys = run.rows.training_keys
        self._rows = {key: row for row, key in reversed([*enumerate(keys)])}
        self._show(self.population.images)
        self.since = ""
        """Time of the newest model; it has learned from the answers before it."""
        answers = run.record.train.answers
        self.doubtful: tuple[str, ...] = self._doubtful(
            None if answers is None else answers.measured
        )
        """Content keys of answered images whose answers contradict all others."""
        self._model_answers = _model_answers(run)
        self.asking: Asking | None = None
        """Order of the images by the expected gain of an answer, if it is known."""

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return self.run.folder.path.absolute().name

    def follow(self, images: Sequence[ReviewImage], measured: LeftOutAnswers | None) -> None:
        """Ask about these images, whose labels are those of a model that answers taught.

        `measured` says what these answers measure.
        """
        self._show(images)
        self.doubtful = self._doubtful(measured)

    def _doubtful(self, measured: LeftOutAnswers | None) -> tuple[str, ...]:
        """Return the content keys of the images whose answers contradict all others."""
        if measured is None or not measured.doubtful:
            return ()
        key_of = dict(zip(self.run.rows.training_ids, self.run.rows.training_keys, strict=True))
        return tuple(key_of[image] for image in measured.doubtful if image in key_of)

    @property
    def disputed(self) -> tuple[str, ...]:
        """Content keys of the images that a describer named otherwise, its surest answers first."""
        label_of = {name: label for label, name in enumerate(self.run.class_names)}
        other_answers = [
            answer
            for answer in self._model_answers
            if (image := self._by_key.get(answer.key))
            and label_of.get(answer.label or "", image.used_label) != image.used_label
        ]
        ranked = sorted(other_answers, key=lambda answer: -answer.reliability)
        return tuple(answer.key for answer in ranked)

    def _show(self, images: Sequence[ReviewImage]) -> None:
        self.images = images
        """The images in random order, with the labels by the newest model."""
        self._by_key = {image.key: image for image in images}
        labels = [[image.key, image.used_label] for image in images]
        self.model: str = digest_json([self.run.class_names, labels])[:16]
        """Digest of the labels of all images."""

    def next_step(self, stored: Stored) -> str:
        """Return the command that teaches a model with new answers; empty if there are none."""
        return next_step(stored.unused, self.run.folder.path)

    def questions(
        self, place: TaskPlace, stored: Stored | None = None
    ) -> Iterator[Sequence[ReviewImage]]:
        """Yield the images of each open question of a task, in the order of asking.

        A person is asked about one image of a series, and not again when the series has an answer.
        """
        stored = self.stored() if stored is None else stored
        if place.task == "clusters":
            return groups(one_per_series(self.images), self.settled(stored), self.since)
        if place.task == "images":
            unchecked = stored.answered_by(self.since, self.doubtful)
            order = self.asking.keys if self.asking else ()
            first_keys = dict.fromkeys((*self.doubtful, *self.disputed, *order))
            images = one_per_series(self.images, unchecked)
            return sheets(images, self.settled(stored), place, (*first_keys,), unchecked)
        return ((image,) for image in measurements(self.images, stored.answers))

    def settled(self, stored: Stored) -> dict[str, Answer]:
        """Return the answers by content key; the images of an answered series share its answer."""
        closed = {key: answer for key, answer in stored.answers.items() if not is_open(answer)}
        return {**stored.answers, **shared_answers(self.images, closed)}

    def save(
        self, task: TaskName, marks: Sequence[Mark], seen: Collection[str] | None = None
    ) -> str:
        """Append the answers to one question, and return their time, by which `undo` finds them.

        If given, `seen` has the content keys of the images that the person looked at. Raises
        `LatteError`, and appends nothing, for an unknown image, class or task.
        """
        if task not in TASKS:
            raise LatteError(f'there is no task "{task}"', hint=f"one of: {', '.join(TASKS)}")
        names = self.class_names
        for mark in marks:
            if mark.key not in self._rows:
                raise LatteError("no image of this run has this content key", where=mark.key)
            is_class = mark.label in names
            if is_class != (mark.kind == "class") or (not is_class and mark.label is not None):
                raise LatteError(f'"{mark.label}" is none of the class names', where=mark.key)
        self.stored()  # raises an error if the file is damaged
        time = now()
        answers = [self._answer(mark, task, time, names) for mark in marks]
        append_answers(
            self.file,
            [
                answer if seen is None or answer.key in seen else replace(answer, queue=UNSEEN)
                for answer in answers
            ],
        )
        return time

    def name_class(self, label: int | None, name: str) -> None:
        """Change the name of class `label`, or add a class if that is None; save the new list.

        Raises `LatteError`, and changes nothing, for a name that the list cannot have.
        """
        names = self.class_names
        new_names = changed_names(self.run, names, label, name)
        if new_names != names:
            append_answers(self.file, [ClassChange(names, new_names, now())])

    def _answer(self, mark: Mark, task: str, time: str, names: Sequence[str]) -> Answer:
        """Return a line of the file, with the label that stands now."""
        name = self.run.rows.training_ids[self._rows[mark.key]]
        classes = digest_of_classes(names)
        answer = Answer(
            mark.key, mark.kind, mark.label, task, self.name, time, name, classes=classes
        )
        image = self._by_key.get(mark.key)
        if image is None:  # its class taught the reviewed run, so it measures nothing
            return answer
        return replace(answer, before=names[image.used_label], model=self.model)

    def undo(self, time: str) -> None:
        """Undo the answers that were saved at `time`.

        Each image gets back the answer that it had before; an image that has been answered again
        since keeps its new answer. Raises `LatteError` if there is no such answer.
        """
        lines = self.lines()
        saved = [answer for answer in lines if answer.time == time and answer.kind != "undo"]
        if not saved:
            raise LatteError("these answers are not in the file any more", where=str(self.file))
        earlier = latest(lines[: lines.index(saved[0])])
        current = [answer for answer in newest(lines).values() if answer in saved]
        undone = [replace(answer, kind="undo", label=None, time=now()) for answer in current]
        restored = [earlier[answer.key] for answer in current if answer.key in earlier]
        append_answers(self.file, [*undone, *restored])


def _model_answers(run: Run) -> Sequence[Answer]:
    """Return the classes that a describer gave to images of the run; none if it was not asked."""
    file = run.folder.model_answers
    return [*latest(read_answers(file)).values()] if file.exists() else []
