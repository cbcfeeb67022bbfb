"""The questions of the page's views: name groups, measure, doubtful photos, and absent classes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from typing import Literal

from latte.results.answers import TaskName, now
from latte.results.population import ReviewImage
from latte.results.run_answers import Stored
from latte.review.session import Review
from latte.review.tasks import SHEET, TaskPlace, measurements

View = Literal["groups", "measure", "doubtful", "map"]
Kind = Literal["group", "photo", "sheet", "named-class"]
Likeliest = Callable[[int, int], Sequence[int]]
"""Function from a class and a number to the training images that show it most likely."""

QUEUES: Mapping[View, TaskName] = {
    "groups": "clusters",
    "measure": "evidence",
    "doubtful": "images",
    "map": "images",
}
"""The queue of the answers of each view."""

_PREPARED = 3
"""Number of questions of a view that are ready: the visible one, and the next two."""


@dataclass(frozen=True)
class Place:
    """A place in a view: `label` and `skip` limit the doubtful photos."""

    view: View
    label: int | None = None
    skip: int = 0


@dataclass(frozen=True)
class Question:
    """A question about one photo or several."""

    view: View
    kind: Kind
    images: Sequence[ReviewImage]
    class_: int | None = None
    """The class that the question names, if its kind is `named-class`."""
    id: str = ""


@dataclass(frozen=True)
class Prepared:
    """The next questions of a place, and the number of groups or photos that are left."""

    questions: tuple[Question, ...]
    left: int

    @property
    def question(self) -> Question | None:
        """The next question; None if there is none."""
        return self.questions[0] if self.questions else None

    @property
    def ahead(self) -> list[int]:
        """The indices of the photos of the questions after the next one."""
        return [image.row for question in self.questions[1:] for image in question.images]


class Views:
    """The questions of all views; the next ones are prepared, so that a key never waits."""

    def __init__(self, review: Review, likeliest: Likeliest) -> None:
        self._review, self._likeliest = review, likeliest
        self._prepared: dict[Place, Prepared] = {}
        self._asked_classes = set[int]()
        self._skipped = set[tuple[View, str]]()
        self._numbers, self._generation = count(1), 0
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1)

    def next(self, place: Place) -> Prepared:
        """Return the next questions of a place; they are made now if none is prepared."""
        with self._lock:
            prepared = self._prepared.get(place)
        if prepared is None or not prepared.questions:
            return self._prepare(place)
        return prepared

    def skip(self, question: Question) -> None:
        """Ask the other questions of the view before this one."""
        self._skipped |= {(question.view, image.key) for image in question.images}
        if question.class_ is not None:
            self._asked_classes.add(question.class_)
        self.forget()

    def answered(
        self, question: Question | None, keys: Collection[str], seen: Collection[str]
    ) -> None:
        """Leave out the answered question; `refresh` prepares further ones.

        `keys` are the content keys of the photos that were answered, and `seen` of those that the
        person looked at: only these measure, so the others are still asked about at random.
        """
        if question is not None and question.class_ is not None:
            self._asked_classes.add(question.class_)
        with self._lock:
            self._generation += 1
            self._prepared = {
                place: _without(prepared, question, seen if place.view == "measure" else keys)
                for place, prepared in self._prepared.items()
            }

    def changed(self) -> None:
        """Prepare questions by the newest labels in place of those that are prepared."""
        with self._lock:
            self._generation += 1
        self.refresh()

    def forget(self) -> None:
        """Forget all prepared questions at once."""
        with self._lock:
            self._generation += 1
            self._prepared.clear()

    def refresh(self) -> None:
        """Make the prepared questions again in a thread."""
        with self._lock:
            places = [*self._prepared]
        for place in places:
            self._worker.submit(self._prepare, place)

    def close(self) -> None:
        """End the thread."""
        self._worker.shutdown(cancel_futures=True)

    def _prepare(self, place: Place) -> Prepared:
        generation = self._generation
        stored = self._review.stored()
        questions, left = self._questions(place, stored)
        prepared = Prepared(tuple(islice(questions, _PREPARED)), left)
        with self._lock:
            if generation == self._generation:
                self._prepared[place] = prepared
        return prepared

    def _questions(self, place: Place, stored: Stored) -> tuple[Iterator[Question], int]:
        """Return the open questions of a place, those that were skipped last, and what is left."""
        if place.view == "groups":
            groups = [*self._groups(stored)]
            groups.sort(key=lambda group: self._is_skipped("groups", group.images))
            return iter(groups), len(groups)
        if place.view == "measure":
            images = [*measurements(self._review.images, stored.answers)]
            images.sort(key=lambda image: ("measure", image.key) in self._skipped)
            return (self._question("measure", "photo", [image]) for image in images), len(images)
        task = TaskPlace(task="images", label=place.label, skip=place.skip)
        sheets = [*self._review.questions(task, stored)]
        sheets.sort(key=lambda sheet: self._is_skipped("doubtful", sheet))
        left = sum(map(len, sheets))
        return (self._question("doubtful", "sheet", sheet) for sheet in sheets), left

    def _is_skipped(self, view: View, images: Sequence[ReviewImage]) -> bool:
        return all((view, image.key) in self._skipped for image in images)

    def _groups(self, stored: Stored) -> Iterator[Question]:
        """Yield the groups, then the classes that no photo shows.

        When all are answered, the groups of the newest model are asked about again, as long as
        answers are expected to be worth it.
        """
        groups = [*self._review.questions(TaskPlace(task="clusters"), stored)]
        absent = [*self._absent(stored)]
        asking = self._review.asking
        is_worth = asking is not None and not asking.may_stop(self._review.settled(stored))
        if not groups and not absent and is_worth:
            self._review.since = now()
            groups = [*self._review.questions(TaskPlace(task="clusters"), stored)]
        yield from (self._question("groups", "group", group) for group in groups)
        yield from absent

    def _absent(self, stored: Stored) -> Iterator[Question]:
        """Yield a question about each class that no photo shows and no answer names."""
        names = stored.class_names
        shown = {image.used_label for image in self._review.images}
        named = {answer.label for answer in stored.answers.values()}
        by_row = {image.row: image for image in self._review.images}
        settled = self._review.settled(stored)
        for label, name in enumerate(names):
            if label in shown or label in self._asked_classes or name in named:
                continue
            rows = self._likeliest(label, 4 * SHEET)
            images = [
                by_row[row] for row in rows if row in by_row and by_row[row].key not in settled
            ]
            if images:
                yield self._question("groups", "named-class", images[:SHEET], label)

    def _question(
        self, view: View, kind: Kind, images: Sequence[ReviewImage], class_: int | None = None
    ) -> Question:
        return Question(view, kind, images, class_, f"{view}-{next(self._numbers)}")


def _without(prepared: Prepared, answered: Question | None, keys: Collection[str]) -> Prepared:
    """Return the questions that are still open after an answer about the photos `keys`."""
    closed = [question for question in prepared.questions if _is_about(question, answered, keys)]
    still_open = tuple(question for question in prepared.questions if question not in closed)
    left_out = sum(len(question.images) if question.kind == "sheet" else 1 for question in closed)
    return Prepared(still_open, prepared.left - left_out)


def _is_about(question: Question, answered: Question | None, keys: Collection[str]) -> bool:
    if answered is not None and answered.class_ is not None:
        return question.class_ == answered.class_
    return any(image.key in keys for image in question.images)
