"""Review of a run by a person: questions about images, the answers, and an estimate from them.

A queue is a list of questions of one kind. The answers give an estimate of the run's gain over
zero-shot CLIP.

Answers with the use `evidence` measure the gain; answers with the use `teaching` become training
labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice
from pathlib import Path

from latte.data.sources.classes import ClassLookup
from latte.interfaces import LatteError
from latte.results.answers import (
    Answer,
    Kind,
    Use,
    append_answers,
    checked_corrections,
    latest,
    newest,
    now,
    read_answers,
)
from latte.results.run import Run
from latte.results.stored import same_count
from latte.review.estimate import estimate
from latte.review.population import Population, ReviewImage, population, teaches
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
    """The command that trains with the answers for teaching; empty if there are none."""


@dataclass(frozen=True)
class Stored:
    """The answers in the file of a review, read once."""

    newest: Mapping[str, Answer]
    """The newest answer about each image, by content key; it may be an undo."""
    class_names: tuple[str, ...]

    @cached_property
    def latest(self) -> dict[str, Answer]:
        """The newest answer about each image, without undone answers."""
        return latest(self.newest.values())

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The newest answer about each image, except answers that name no class of the run.

        Images whose answer is left out are asked about again.
        """
        return {key: one for key, one in self.latest.items() if one.label not in self.unknown}

    def asked(self, use: Use) -> dict[str, Answer]:
        """Return the answers whose images get no further question for `use`, by content key.

        These include answers with the other use, because an image keeps its use.
        """
        other = {key: one for key, one in self.latest.items() if one.use != use}
        unclear = {key: replace(one, kind="unsure", label=None) for key, one in other.items()}
        return {**unclear, **self.answers}

    @cached_property
    def unknown(self) -> Counter[str | None]:
        """Number of answers per name that is no class of the run, such as a class's old name."""
        names = {None, *self.class_names}
        found = (one.label for one in self.latest.values())
        return Counter(name for name in found if name not in names)

    def check_use(self, key: str, use: Use, where: str) -> None:
        """Raise `LatteError` if an answer about the image `key` cannot have the use `use`.

        An image never gets answers of both uses, and the images for teaching are chosen at random.
        """
        never = "an image is evidence or teaching, never both:"
        if key in self.latest and self.latest[key].use != use:
            raise LatteError(f"{never} an earlier answer about it has the other use", where=where)
        if use == "teaching" and not teaches(key):
            what = f"{never} a random draw chose this one to measure the gain"
            hint = "leave the column use empty; latte review asks about images that teach"
            raise LatteError(what, where=where, hint=hint)


def answers_file(run: Run) -> Path:
    """Return a run's file of answers: `corrections` of its recipe, or else its `review.jsonl`."""
    learned = run.recipe.get("corrections")
    if not learned:
        return run.folder.review
    return checked_corrections(run.recipe_path.parent / str(learned))


class Review:
    """A run under review, and a person's answers in its file `review.jsonl`.

    Other processes may append answers to this file at any time.

    The review compares zero-shot CLIP with the adapted model, even if the guard did not accept it.

    Raises `LatteError` if a file of the run is missing or damaged.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.file = answers_file(run)
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
        answers = map(self._with_spelling, read_answers(self.file))
        return Stored(newest(answers), self.run.class_names)

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
        answers, names = stored.answers, self.run.class_names
        return Evidence(
            estimate(self.population, answers, names),
            sum(one.use == "teaching" for one in answers.values()),
            unknown_classes(stored.unknown, names, self.file),
        )

    def standing(self, queue: QueueName) -> Standing:
        """Return the state of a queue, and the estimate; the file of answers is read once."""
        asks, stored = self.queues[queue], self.stored()
        answers = stored.asked(asks.use)
        counts = asks.answered(answers), asks.left(answers)
        evidence, used = self.evidence(stored), uses(stored.answers.values())
        return Standing(asks.next(answers), *counts, evidence, used, self.next_step(stored))

    def next_step(self, stored: Stored) -> str:
        """Return the command that trains with the answers for teaching; empty if there are none.

        It is also empty for a run that has learned from answers.
        """
        if self.run.recipe.get("corrections"):
            return ""
        answers = stored.answers.values()
        labels = sum(one.use == "teaching" and one.label is not None for one in answers)
        return next_step(labels, self.run.folder.path)

    def next(self, queue: QueueName) -> Question | None:
        """Return the next unanswered question of a queue; None if there is none left."""
        asks = self.queues[queue]
        return asks.next(self.stored().asked(asks.use))

    def upcoming(self, count: int, queue: QueueName = "evidence") -> list[Question]:
        """Return the next `count` questions of a queue, in the order of asking."""
        asks = self.queues[queue]
        return [*islice(asks.pending(self.stored().asked(asks.use)), count)]

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
        nothing, for an unknown image, class or queue; see also `Stored.check_use`.
        """
        if queue not in self.queues:
            known = ", ".join(self.queues)
            raise LatteError(f'there is no queue "{queue}"', hint=f"one of: {known}")
        if (kind == "class") != (label is not None) or (
            label is not None and label not in self.run.class_names
        ):
            raise LatteError(f'"{label}" is none of the class names', where=queue)
        use = self.queues[queue].use
        stored, time = self.stored(), now()
        for key in (*keys, *others):
            if key not in self._by_key:
                raise LatteError("no image of this run has this content key", where=key)
            stored.check_use(key, use, where=key)
        answers = stored.answers
        if kind == "undo":
            keys = [key for key in keys if key in answers and answers[key].queue == queue]
        ids = self.run.rows.training_ids
        said = [(key, kind, label) for key in keys]
        said += [(key, "unsure", None) for key in others]
        new = [
            Answer(key, what, name, use, queue, self.name, time, ids[self._by_key[key].row])
            for key, what, name in said
        ]
        append_answers(self.file, new)


def _population(run: Run) -> Population:
    labels = run.rows.adapted_labels
    keys = run.rows.training_keys
    same_count(run.folder.pseudo_labels, "training images", [len(keys), len(labels.adapted)])
    learned = bool(run.recipe.get("corrections"))
    return population(keys, labels.frozen, labels.adapted, labels.confidence, learned=learned)
