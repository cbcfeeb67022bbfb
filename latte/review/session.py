"""A run under review: the next question of each queue, the answers, and the estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from latte.interfaces import LatteError
from latte.results.answers import Answer, Kind, Use, append_answers, latest, now, read_answers
from latte.results.finished import FinishedRun
from latte.results.stored import same_count
from latte.review.clusters import Cluster, clusters, sheet
from latte.review.estimate import Estimate, estimate
from latte.review.population import ReviewImage, draw, population, teaches

_AGREED_EVERY = 4
"""One in this many evidence questions is about an image on which the models agree."""

Queue = Literal["evidence", "clusters", "uncertain", "balanced"]

QUEUES: Mapping[Queue, str] = {
    "evidence": "Measure the gain",
    "clusters": "Teach: name groups of images",
    "uncertain": "Teach: least certain images",
    "balanced": "Teach: least certain images of each class in turn",
}
"""The queues of questions and their titles. Only the first queue measures; it never teaches."""


@dataclass(frozen=True)
class Question:
    """A question about one image, or about a sheet of images that may show the same class."""

    images: tuple[ReviewImage, ...]
    queue: Queue
    options: tuple[int, ...]
    """Labels to offer, in an order that says nothing about the models."""


def check_use(key: str, use: Use, before: Answer | None, where: str) -> None:
    """Raise `LatteError` if the image `key`, answered by `before`, cannot have this use."""
    if (before is not None and before.use != use) or (use == "teaching" and not teaches(key)):
        raise LatteError("an image is evidence or teaching, never both", where=where)


def answers_file(run: FinishedRun) -> Path:
    """Return the file of answers about a run.

    A run that has learned from the answers of a file uses the same file.
    """
    learned = run.recipe.get("corrections")
    return Path(run.source.recipe).parent / learned if learned else run.folder.review


class Review:
    """A run and the answers of its `review.jsonl`, which other processes may extend meanwhile.

    If the guard did not accept the adapted model in full, the review compares zero-shot CLIP with
    the rejected candidate, to find out whether rejecting it was right.

    Raises `LatteError` if a file of the run is missing or damaged.
    """

    def __init__(self, run: FinishedRun) -> None:
        self.run = run
        self.file = answers_file(run)
        learned = bool(run.recipe.get("corrections"))
        labels = (run.candidate if run.has_candidate else run).pseudo_labels
        keys = run.training_keys
        same_count(run.folder.pseudo_labels, "training images", [len(keys), len(labels.adapted)])
        self.population = population(
            keys, labels.frozen, labels.adapted, labels.confidence, learned=learned
        )

    @property
    def compared(self) -> str:
        """The model that is compared with zero-shot CLIP, in words."""
        return "the rejected candidate" if self.run.has_candidate else "the adapted model"

    @cached_property
    def _by_key(self) -> dict[str, ReviewImage]:
        return {one.key: one for one in self.population.images}

    @cached_property
    def _clusters(self) -> tuple[Cluster, ...]:
        return clusters(self._teaching)

    @cached_property
    def _teaching(self) -> tuple[ReviewImage, ...]:
        """The images that may teach, least confident first."""
        found = [one for one in self.population.images if teaches(one.key)]
        return tuple(sorted(found, key=lambda one: one.confidence))

    def answers(self) -> dict[str, Answer]:
        """Return the newest answer for each content key, without answers that were undone."""
        return latest(read_answers(self.file))

    def estimate(self) -> Estimate:
        """Return the estimate from the evidence so far."""
        return estimate(self.population, self.answers(), self.run.class_names)

    def next(self, queue: Queue) -> Question | None:
        """Return the next unanswered question of a queue; None if there is none left."""
        answers = self.answers()
        if queue == "clusters":
            left = self._clusters_left(answers)
            if not left:
                return None
            images = [one for one in left[0].images if _is_open(answers, one)]
            return Question(sheet(images), queue, left[0].options)
        chosen = _CHOICES[queue](self, answers)
        return None if chosen is None else Question((chosen,), queue, self._options(chosen))

    def upcoming(self, count: int) -> list[Question]:
        """Return the next `count` evidence questions, in the order in which they are asked."""
        answers, found = self.answers(), list[Question]()
        while len(found) < count and (chosen := self._evidence(answers)) is not None:
            found.append(Question((chosen,), "evidence", self._options(chosen)))
            answers[chosen.key] = Answer(chosen.key, "unsure", None, "evidence", "evidence", "", "")
        return found

    def answer(
        self,
        keys: Sequence[str],
        kind: Kind,
        label: str | None,
        queue: Queue,
        others: Sequence[str] = (),
    ) -> None:
        """Append the same answer for each of the images `keys`, or undo their answers.

        `others` are images of the same sheet to which the answer does not apply; they stay
        unanswered. Undoing does not change images that another queue has asked about since.

        Raises `LatteError` for an unknown image, class or queue, and for teaching with an image
        that is evidence, or the reverse. Then nothing is appended.
        """
        if queue not in QUEUES:
            raise LatteError(f'there is no queue "{queue}"', hint=f"one of: {', '.join(QUEUES)}")
        if (kind == "class") != (label is not None) or (
            label is not None and label not in self.run.class_names
        ):
            raise LatteError(f'"{label}" is none of the class names', where=queue)
        use: Use = "evidence" if queue == "evidence" else "teaching"
        answers, run, time = self.answers(), self.run.folder.path.name, now()
        for key in (*keys, *others):
            self._check(key, use, answers)
        if kind == "undo":
            keys = [key for key in keys if key in answers and answers[key].queue == queue]
        given = [Answer(key, kind, label, use, queue, run, time) for key in keys]
        left = [Answer(key, "unsure", None, use, queue, run, time) for key in others]
        append_answers(self.file, [*given, *left])

    def _check(self, key: str, use: Use, answers: Mapping[str, Answer]) -> None:
        """Raise `LatteError` for an unknown image, or one that was answered for the other use."""
        if key not in self._by_key:
            raise LatteError("no image of this run has this content key", where=key)
        check_use(key, use, answers.get(key), where=key)

    def counted(self, queue: Queue) -> int:
        """Return the number of answers in a queue."""
        answers = self.answers()
        if queue == "clusters":
            return sum(_is_asked(answers, one) for one in self._clusters)
        return sum(one.queue == queue for one in answers.values())

    def left(self, queue: Queue) -> int:
        """Return the number of questions that a queue could still ask."""
        answers = self.answers()
        if queue == "clusters":
            return len(self._clusters_left(answers))
        if queue == "evidence":
            return sum(one.key not in answers for one in self.population.images)
        return sum(_is_open(answers, one) for one in self._teaching)

    def _clusters_left(self, answers: Mapping[str, Answer]) -> list[Cluster]:
        """Return the clusters to ask about, the largest first."""
        return [
            one
            for one in self._clusters
            if not _is_asked(answers, one) and any(_is_open(answers, image) for image in one.images)
        ]

    def _options(self, image: ReviewImage) -> tuple[int, ...]:
        """Return both models' labels, in an order drawn from the image's content."""
        found = sorted({image.zero_shot, image.adapted})
        return tuple(found if draw(image.key + "options") < 0.5 else reversed(found))

    def _evidence(self, answers: Mapping[str, Answer]) -> ReviewImage | None:
        """Return the next image of the disagreements, or of a stratum of the agreements."""
        learns = any(one.use == "teaching" for one in answers.values())

        def unanswered(images: Sequence[ReviewImage]) -> ReviewImage | None:
            first = next((one for one in images if one.key not in answers), None)
            # After the first teaching answer, the teaching half can no longer become evidence.
            return None if first is None or (learns and teaches(first.key)) else first

        asked = sum(one.use == "evidence" for one in answers.values())
        differs = unanswered(self.population.disagreements)
        unsure, sure = map(unanswered, self.population.agreements)
        agreed = (sure or unsure) if asked // _AGREED_EVERY % 3 == 2 else (unsure or sure)
        turn = asked % _AGREED_EVERY == _AGREED_EVERY - 1
        return (agreed or differs) if turn else (differs or agreed)

    def _uncertain(self, answers: Mapping[str, Answer]) -> ReviewImage | None:
        return next((one for one in self._teaching if _is_open(answers, one)), None)

    def _balanced(self, answers: Mapping[str, Answer]) -> ReviewImage | None:
        """Return the least certain image of the predicted class with the fewest answers."""
        asked = dict.fromkeys((one.adapted for one in self._teaching), 0)
        for one in self._teaching:
            asked[one.adapted] += not _is_open(answers, one)
        left = [one for one in self._teaching if _is_open(answers, one)]
        return min(left, key=lambda one: (asked[one.adapted], one.confidence), default=None)


def _is_open(answers: Mapping[str, Answer], image: ReviewImage) -> bool:
    """Return True if the image has no answer, or only that of a sheet that does not apply to it."""
    found = answers.get(image.key)
    return found is None or (found.kind == "unsure" and found.queue == "clusters")


def _is_asked(answers: Mapping[str, Answer], cluster: Cluster) -> bool:
    """Return True if a sheet of the cluster has been answered."""
    return any(
        found is not None and found.queue == "clusters"
        for found in (answers.get(one.key) for one in cluster.images)
    )


_CHOICES: Mapping[Queue, Callable[[Review, Mapping[str, Answer]], ReviewImage | None]] = {
    "evidence": Review._evidence,
    "uncertain": Review._uncertain,
    "balanced": Review._balanced,
}
