"""Review of runs by a person: questions about images, the answers, and estimates from them.

A queue is a list of questions of one kind. The answers give an estimate of each run's gain over
zero-shot CLIP, and of the difference between any two runs.

Answers with the use `evidence` measure the gain; answers with the use `teaching` become training
labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import combinations
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
from latte.results.finished import FinishedRun
from latte.results.stored import same_count
from latte.review.estimate import estimate
from latte.review.groups import Question, read_features
from latte.review.population import Population, ReviewImage, difference, joint, population, teaches
from latte.review.queues import EvidenceQueue, Queue, QueueName, queues_of
from latte.review.sentences import (
    ZERO_SHOT,
    Evidence,
    next_step,
    run_names,
    unknown_classes,
    uses,
)


@dataclass(frozen=True)
class Standing:
    """The state of one queue, and the estimates from the answers of all queues."""

    question: Question | None
    answered: int
    left: int
    evidence: tuple[Evidence, ...]
    uses: str
    next_step: str
    """The command that trains with the answers for teaching; empty if there are none."""


@dataclass(frozen=True)
class Stored:
    """The answers in the files of all reviewed runs, read once."""

    files: tuple[Mapping[str, Answer], ...]
    """For each file, the newest answer for each content key, which may be an undo."""
    class_names: tuple[str, ...]

    @cached_property
    def _joint(self) -> dict[str, Answer]:
        """The newest answer about each image in any file, by content key; it may be an undo."""
        everything = [one for own in self.files for one in own.values()]
        if len(self.files) > 1:
            everything.sort(key=lambda one: one.time)
        return newest(everything)

    @cached_property
    def latest(self) -> dict[str, Answer]:
        """The newest answer about each image in any file, without undone answers."""
        return latest(self._joint.values())

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

    @cached_property
    def contradictions(self) -> int:
        """Number of images about which two files have different answers."""
        several = [[own[key] for own in self.files if key in own] for key in self._joint]
        return sum(len({(one.kind, one.label, one.use) for one in some}) > 1 for some in several)

    def missing(self) -> Iterator[list[Answer]]:
        """Yield, per file, the newest `evidence` answers that the file does not contain."""
        for own in self.files:
            yield [
                one
                for key, one in self._joint.items()
                if one.use == "evidence" and own.get(key) != one and _allows(own.get(key), one.use)
            ]

    def check_use(self, key: str, use: Use, where: str) -> None:
        """Raise `LatteError` if an answer about the image `key` cannot have the use `use`.

        An image never gets answers of both uses, and the images for teaching are chosen at random.
        """
        never = "an image is evidence or teaching, never both:"
        if not all(_allows(own.get(key), use) for own in self.files):
            raise LatteError(f"{never} an earlier answer about it has the other use", where=where)
        if use == "teaching" and not teaches(key):
            what = f"{never} a random draw chose this one to measure the gain"
            hint = "leave the column use empty; latte review asks about images that teach"
            raise LatteError(what, where=where, hint=hint)


def _allows(before: Answer | None, use: Use) -> bool:
    return before is None or before.kind == "undo" or before.use == use


def answers_file(run: FinishedRun) -> Path:
    """Return a run's file of answers: `corrections` of its recipe, or else its `review.jsonl`."""
    learned = run.recipe.get("corrections")
    if not learned:
        return run.folder.review
    return checked_corrections(Path(run.source.recipe).parent / str(learned))


class Review:
    """Runs under review, and a person's answers in their files `review.jsonl`.

    Other processes may append answers to these files at any time.

    If the guard did not accept the adapted model in full, the review compares zero-shot CLIP with
    the candidate, to find out if the guard was right.

    Several runs must have the same images and classes. Answers about several runs never become
    training labels. An answer is written to the file of each run, and an answer in any of the files
    counts for all runs.

    Raises `LatteError` if a run's file is missing or damaged, or if a run has other images or
    classes than the first run.
    """

    def __init__(self, run: FinishedRun, *others: FinishedRun) -> None:
        self.run = run
        self.runs = (run, *others)
        folders = [one.folder.path for one in self.runs]
        self._names = run_names(folders)
        for at, other in enumerate(others, 1):
            if any(other.folder.path.samefile(one) for one in folders[:at]):
                raise LatteError("the same run folder occurs twice", where=str(folders[at]))
            same = set(run.training_keys) == set(other.training_keys)
            if not same or run.class_names != other.class_names:
                what = f"its {'classes' if same else 'images'} are not those of {folders[0].name}"
                raise LatteError(what, where=str(folders[at]), hint="review it on its own")
        files = map(answers_file, self.runs)
        # A run that has learned from answers shares the file of another run.
        self.files = tuple({file.resolve(): file for file in files}.values())
        self._populations = tuple(map(_population, self.runs))
        self.population = joint(self._populations)

    @property
    def file(self) -> Path:
        """The file of answers of the first run."""
        return self.files[0]

    @property
    def name(self) -> str:
        """The names of the run folders."""
        return " + ".join(self._names)

    @cached_property
    def _by_key(self) -> dict[str, ReviewImage]:
        return {one.key: one for one in self.population.images}

    @cached_property
    def queues(self) -> Mapping[str, Queue]:
        """The queues of questions by name; with several runs, only the queue `evidence`."""
        if len(self.runs) > 1:
            return {"evidence": EvidenceQueue(self.population)}
        return queues_of(self.population, cache(lambda: read_features(self.run)))

    def stored(self) -> Stored:
        """Read the answers of all files, with class names as the run spells them."""
        return Stored(
            tuple(newest(map(self._with_spelling, read_answers(file))) for file in self.files),
            self.run.class_names,
        )

    def _with_spelling(self, answer: Answer) -> Answer:
        label = answer.label and self.spelt(answer.label)
        return answer if label == answer.label else replace(answer, label=label)

    @cached_property
    def spelt(self) -> Callable[[str], str]:
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

    def append(self, answers: Sequence[Answer], stored: Stored) -> None:
        """Append answers to the file of each run.

        Each file first gets missing or newer `evidence` answers of the other files. `stored` is the
        content of the files, against which the answers were checked.
        """
        for file, missing in zip(self.files, stored.missing(), strict=True):
            if missing or answers:
                append_answers(file, [*missing, *answers])

    def evidence(self, stored: Stored | None = None) -> tuple[Evidence, ...]:
        """Return the estimated gain of each run, then the difference of each pair of runs."""
        stored = self.stored() if stored is None else stored
        answers, names = stored.answers, self.run.class_names
        teaching = sum(one.use == "teaching" for one in answers.values())
        unknown = unknown_classes(stored.unknown, names, self.files)
        return tuple(
            Evidence(
                estimate(images, answers, names),
                compared,
                baseline,
                teaching,
                unknown="" if at else unknown,
            )
            for at, (images, compared, baseline) in enumerate(self._comparisons)
        )

    @cached_property
    def _comparisons(self) -> tuple[tuple[Population, str, str], ...]:
        """Images, name of the measured model and name of the baseline, for each estimate."""
        names = [
            _compared(one, name if len(self.runs) > 1 else None)
            for one, name in zip(self.runs, self._names, strict=True)
        ]
        models = [*zip(self._populations, names, strict=True)]
        gains = [(images, name, ZERO_SHOT) for images, name in models]
        differences = [
            (difference(first, second), name, baseline)
            for (first, baseline), (second, name) in combinations(models, 2)
        ]
        return (*gains, *differences)

    def standing(self, queue: QueueName) -> Standing:
        """Return the state of a queue, and the estimates; each file of answers is read once."""
        asks, stored = self.queues[queue], self.stored()
        answers = stored.asked(asks.use)
        counts = asks.counted(answers), asks.left(answers)
        evidence, used = self.evidence(stored), uses(stored.answers.values())
        return Standing(asks.next(answers), *counts, evidence, used, self.next_step(stored))

    def next_step(self, stored: Stored) -> str:
        """Return the command that trains with the answers for teaching; empty if there are none.

        It is also empty for a run that has learned from answers, and for several runs.
        """
        if len(self.runs) > 1 or self.run.recipe.get("corrections"):
            return ""
        answers = stored.answers.values()
        labels = sum(one.use == "teaching" and one.label is not None for one in answers)
        return next_step(labels, self.run.folder.path)

    def next(self, queue: QueueName) -> Question | None:
        """Return the next unanswered question of a queue; None if there is none left."""
        asks = self.queues[queue]
        return asks.next(self.stored().asked(asks.use))

    def upcoming(self, count: int, queue: QueueName = "evidence") -> list[Question]:
        """Return the next `count` questions of a queue of single images, in the order of asking."""
        asks, found = self.queues[queue], list[Question]()
        answers = self.stored().asked(asks.use)
        while len(found) < count and (question := asks.next(answers)):
            found.append(question)
            key = question.images[0].key
            answers[key] = Answer(key, "unsure", None, asks.use, queue, "", "")
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
        ids = self.run.training_ids
        said = [(key, kind, label) for key in keys]
        said += [(key, "unsure", None) for key in others]
        new = [
            Answer(key, what, name, use, queue, self.name, time, ids[self._by_key[key].row])
            for key, what, name in said
        ]
        self.append(new, stored)


def _population(run: FinishedRun) -> Population:
    labels = (run.candidate if run.has_candidate else run).pseudo_labels
    keys = run.training_keys
    same_count(run.folder.pseudo_labels, "training images", [len(keys), len(labels.adapted)])
    learned = bool(run.recipe.get("corrections"))
    return population(keys, labels.frozen, labels.adapted, labels.confidence, learned=learned)


def _compared(run: FinishedRun, name: str | None) -> str:
    if name is not None:
        return f"the candidate of {name}" if run.has_candidate else name
    return "the candidate" if run.has_candidate else "the adapted model"
