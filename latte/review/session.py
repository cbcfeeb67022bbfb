"""A run under review: the next question of each queue, the answers, and the estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from latte.interfaces import LatteError
from latte.results.answers import Answer, Kind, Use, append_answers, latest, now, read_answers
from latte.results.finished import FinishedRun
from latte.results.stored import same_count
from latte.review.estimate import Estimate, estimate
from latte.review.population import ReviewImage, population, teaches
from latte.review.queues import Question, Queue, QueueName, queues_of


@dataclass(frozen=True)
class Standing:
    """State of a queue, and the estimate from all answers."""

    question: Question | None
    answered: int
    """Number of answers in the queue."""
    left: int
    """Number of questions that the queue could still ask."""
    estimate: Estimate


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
    def queues(self) -> Mapping[str, Queue]:
        """The queues of questions, by name."""
        return queues_of(self.population)

    def answers(self) -> dict[str, Answer]:
        """Return the newest answer for each content key, without answers that were undone."""
        return latest(read_answers(self.file))

    def estimate(self) -> Estimate:
        """Return the estimate from the evidence so far."""
        return estimate(self.population, self.answers(), self.run.class_names)

    def standing(self, queue: QueueName) -> Standing:
        """Return the state of a queue, and the estimate; the file of answers is read once."""
        asks, answers = self.queues[queue], self.answers()
        return Standing(
            asks.next(answers),
            asks.counted(answers),
            asks.left(answers),
            estimate(self.population, answers, self.run.class_names),
        )

    def next(self, queue: QueueName) -> Question | None:
        """Return the next unanswered question of a queue; None if there is none left."""
        return self.queues[queue].next(self.answers())

    def upcoming(self, count: int) -> list[Question]:
        """Return the next `count` evidence questions, in the order in which they are asked."""
        answers, found = self.answers(), list[Question]()
        while len(found) < count and (question := self.queues["evidence"].next(answers)):
            found.append(question)
            key = question.images[0].key
            answers[key] = Answer(key, "unsure", None, "evidence", "evidence", "", "")
        return found

    def answer(
        self,
        keys: Sequence[str],
        kind: Kind,
        label: str | None,
        queue: QueueName,
        others: Sequence[str] = (),
    ) -> None:
        """Append the same answer for each of the images `keys`, or undo their answers.

        `others` are images of the same sheet to which the answer does not apply; they stay
        unanswered. Undoing does not change images that another queue has asked about since.

        Raises `LatteError` for an unknown image, class or queue, and for teaching with an image
        that is evidence, or the reverse. Then nothing is appended.
        """
        if queue not in self.queues:
            known = ", ".join(self.queues)
            raise LatteError(f'there is no queue "{queue}"', hint=f"one of: {known}")
        if (kind == "class") != (label is not None) or (
            label is not None and label not in self.run.class_names
        ):
            raise LatteError(f'"{label}" is none of the class names', where=queue)
        use = self.queues[queue].use
        answers, run, time = self.answers(), self.run.folder.path.name, now()
        for key in (*keys, *others):
            self._check(key, use, answers)
        if kind == "undo":
            keys = [key for key in keys if key in answers and answers[key].queue == queue]
        said = [(key, kind, label) for key in keys]
        said += [(key, "unsure", None) for key in others]
        append_answers(
            self.file,
            [
                Answer(key, what, name, use, queue, run, time, self._id_of(key))
                for key, what, name in said
            ],
        )

    def _id_of(self, key: str) -> str:
        return self.run.training_ids[self._by_key[key].row]

    def _check(self, key: str, use: Use, answers: Mapping[str, Answer]) -> None:
        """Raise `LatteError` for an unknown image, or one that was answered for the other use."""
        if key not in self._by_key:
            raise LatteError("no image of this run has this content key", where=key)
        check_use(key, use, answers.get(key), where=key)
