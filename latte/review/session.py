"""Review of a run by a person: questions about images, the answers, and an estimate from them.

A queue is a list of questions of one kind. The answers give an estimate of the run's gain over
zero-shot CLIP. All answers can teach the next model; answers about images that were drawn at random
also measure the gain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice

from latte.data.sources.classes import ClassLookup
from latte.interfaces import LatteError
from latte.results.answers import (
    Answer,
    Kind,
    append_answers,
    latest,
    measuring,
    now,
    read_answers,
)
from latte.results.run import Run
from latte.results.stored import explained, read_stored, same_count
from latte.review.estimate import estimate
from latte.review.population import Population, ReviewImage, population
from latte.review.queues import Question, Queue, QueueName, queues_of
from latte.review.sentences import (
    Evidence,
    next_step,
    unknown_classes,
    uses,
)


@dataclass(frozen=True)
class Standing:
    """The state of one queue, and the estimate from the answers of all queues."""

    question: Question | None
    answered: int
    left: int
    evidence: Evidence
    uses: str
    next_step: str
    """The command that teaches a model with the answers; empty if there are none."""


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

    def asked(self, queue: Queue) -> dict[str, Answer]:
        """Return the answers whose images get no further question of `queue`, by content key."""
        return self.measuring if queue.measures else self.answers

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
        self.population = _population(run)

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return self.run.folder.path.absolute().name

    @cached_property
    def _by_key(self) -> dict[str, ReviewImage]:
        return {one.key: one for one in self.population.images}

    @cached_property
    def queues(self) -> Mapping[str, Queue]:
        """The queues of questions by name."""
        return queues_of(self.population)

    def stored(self) -> Stored:
        """Read the answers, with class names as the run spells them."""
        answers = tuple(map(self._with_spelling, read_answers(self.file)))
        return Stored(answers, self.run.class_names)

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

    def standing(self, queue: QueueName) -> Standing:
        """Return the state of a queue, and the estimate; the file of answers is read once."""
        asks, stored = self.queues[queue], self.stored()
        answers = stored.asked(asks)
        counts = asks.answered(answers), asks.left(answers)
        evidence, used = self.evidence(stored), uses(stored.answers.values())
        return Standing(asks.next(answers), *counts, evidence, used, self.next_step(stored))

    def next_step(self, stored: Stored) -> str:
        """Return the command that teaches a model with the answers; empty if there are none."""
        labels = sum(answer.label is not None for answer in stored.answers.values())
        return next_step(labels, self.run.folder.path)

    def next(self, queue: QueueName) -> Question | None:
        """Return the next unanswered question of a queue; None if there is none left."""
        asks = self.queues[queue]
        return asks.next(self.stored().asked(asks))

    def upcoming(self, count: int, queue: QueueName = "evidence") -> list[Question]:
        """Return the next `count` questions of a queue, in the order of asking."""
        asks = self.queues[queue]
        return [*islice(asks.pending(self.stored().asked(asks)), count)]

    def answer(
        self,
        keys: Sequence[str],
        kind: Kind,
        label: str | None,
        queue: QueueName,
        others: Sequence[str] = (),
    ) -> None:
        """Append the same answer for each of the images `keys`, or undo their answers.

        `others` are the other images of the question; their answer is `unsure`. Undoing does not
        change images that another queue has asked about since. Raises `LatteError`, and appends
        nothing, for an unknown image, class or queue.
        """
        if queue not in self.queues:
            known = ", ".join(self.queues)
            raise LatteError(f'there is no queue "{queue}"', hint=f"one of: {known}")
        if (kind == "class") != (label is not None) or (
            label is not None and label not in self.run.class_names
        ):
            raise LatteError(f'"{label}" is none of the class names', where=queue)
        answers, time = self.stored().answers, now()
        for key in (*keys, *others):
            if key not in self._by_key:
                raise LatteError("no image of this run has this content key", where=key)
        if kind == "undo":
            keys = [key for key in keys if key in answers and answers[key].queue == queue]
        ids = self.run.rows.training_ids
        said = [(key, kind, label) for key in keys]
        said += [(key, "unsure", None) for key in others]
        new = [
            Answer(key, what, name, queue, self.name, time, ids[self._by_key[key].row])
            for key, what, name in said
        ]
        append_answers(self.file, new)


def _population(run: Run) -> Population:
    labels = run.rows.adapted_labels
    keys = run.rows.training_keys
    same_count(run.folder.pseudo_labels, "training images", [len(keys), len(labels.adapted)])
    taught = _taught(run)
    return population(keys, labels.frozen, labels.adapted, labels.confidence, taught)


def _taught(run: Run) -> frozenset[str]:
    """Return the content keys of the images whose class a person gave before the run."""
    path = run.folder.corrected
    if not run.folder.wrote("train", path):
        return frozenset()
    with explained(path):
        return frozenset(read_stored(path, dict[str, int]))
