"""Queues of a review: lists of questions for the person who reviews a run.

Answers of all queues teach the next model. Answers in the queue `evidence` also measure the gain of
the reviewed model, because this queue asks in random order; it asks about images that another queue
asked about, too.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from typing import Literal

from latte.results.answers import MEASURING, Answer
from latte.review.population import Population, ReviewImage, draw
from latte.review.sentences import LOOK_THROUGH, NAME_GROUPS

QueueName = Literal["evidence", "clusters", "images"]
Answers = Mapping[str, Answer]
"""The newest answer for each content key; for the queue `evidence`, only of images that it drew."""

_AGREED_EVERY = 4
"""Every fourth question that measures the gain is about an image on which the models agree."""
_TYPICAL, _DOUBTFUL = 9, 3
"""Numbers of a group's most confident and least confident images in a question."""
_OPTIONS = 5
"""Largest number of classes that a question about a group offers as answers."""


@dataclass(frozen=True)
class Question:
    """A question about one image, or about a group of images that may show the same class."""

    images: tuple[ReviewImage, ...]
    options: tuple[int, ...]
    """Class labels to choose from, in an order that does not show which model gave which label."""


@dataclass(frozen=True)
class Queue:
    """List of questions of one kind."""

    name: QueueName
    title: str
    pending: Callable[[Answers], Iterator[Question]]
    """Function that yields the unanswered questions in the order of asking."""
    prompt: str = "What does this image show?"
    is_sheet: bool = False
    """True if a question is about several images at once; the person may deselect some."""

    @property
    def measures(self) -> bool:
        """True if the answers measure the gain."""
        return self.name == MEASURING

    def next(self, answers: Answers) -> Question | None:
        """Return the next unanswered question; None if there is none left."""
        return next(self.pending(answers), None)

    def left(self, answers: Answers) -> int:
        """Return the number of questions that can still be asked."""
        return sum(1 for _ in self.pending(answers))

    def answered(self, answers: Answers) -> int:
        """Return the number of questions of this queue that have an answer."""
        if self.measures:
            return len(answers)
        asked = (answer for answer in answers.values() if answer.queue == self.name)
        # The answers of one question about a group have the same time.
        return len({answer.time if self.is_sheet else answer.key for answer in asked})


def queues_of(population: Population) -> dict[str, Queue]:
    """Return the queues of a review by name."""
    queues = (
        Queue("evidence", "Measure the gain", _measuring(population)),
        Queue(
            "clusters",
            NAME_GROUPS,
            _naming(population.images),
            prompt="Which class is the most common here? Deselect images that show something else.",
            is_sheet=True,
        ),
        Queue("images", LOOK_THROUGH, _looking_through(population.images)),
    )
    return {one.name: one for one in queues}


def _measuring(population: Population) -> Callable[[Answers], Iterator[Question]]:
    """Return the questions that measure the gain, mostly about disagreements of the models.

    Every fourth question is about an image on which the models agree. Two of three such images have
    a confidence below the median.
    """
    strata = _questions_about(population.disagreements, *population.agreements)

    def pending(answers: Answers) -> Iterator[Question]:
        differs, unsure, sure = (
            deque(question for question in questions if question.images[0].key not in answers)
            for questions in strata()
        )
        for asked in count(len(answers)):
            agreed = (sure or unsure) if asked // _AGREED_EVERY % 3 == 2 else (unsure or sure)
            is_about_agreement = asked % _AGREED_EVERY == _AGREED_EVERY - 1
            chosen = (agreed or differs) if is_about_agreement else (differs or agreed)
            if not chosen:
                return
            yield chosen.popleft()

    return pending


def _naming(images: Sequence[ReviewImage]) -> Callable[[Answers], Iterator[Question]]:
    """Return a question per class that the adapted model predicts, the largest class first.

    A question shows the most and the least confident images of the class. It is asked once.
    """

    @cache
    def groups() -> tuple[Question, ...]:
        by_class: dict[int, list[ReviewImage]] = {}
        for image in sorted(images, key=lambda one: -one.confidence):
            by_class.setdefault(image.adapted, []).append(image)
        return tuple(
            Question(tuple(by_class[label]), _likely(by_class[label], label))
            for label in sorted(by_class, key=lambda label: (-len(by_class[label]), label))
        )

    def pending(answers: Answers) -> Iterator[Question]:
        for group in groups():
            is_asked = any(_is_about_group(answers.get(one.key)) for one in group.images)
            left = [] if is_asked else [one for one in group.images if _is_open(one, answers)]
            if left:
                rest = left[_TYPICAL:]
                shown = (*left[:_TYPICAL], *rest[max(0, len(rest) - _DOUBTFUL) :])
                yield replace(group, images=shown)

    return pending


def _looking_through(images: Sequence[ReviewImage]) -> Callable[[Answers], Iterator[Question]]:
    """Return a question per image, in the order of `images`."""
    questions = _questions_about(images)

    def pending(answers: Answers) -> Iterator[Question]:
        return (one for one in questions()[0] if _is_open(one.images[0], answers))

    return pending


def _questions_about(
    *strata: Sequence[ReviewImage],
) -> Callable[[], tuple[tuple[Question, ...], ...]]:
    """Return a function that makes a question per image, whose options are the models' labels."""

    def question(image: ReviewImage) -> Question:
        order = sorted(image.labels, key=lambda label: draw(f"{image.key} option {label}"))
        return Question((image,), tuple(order))

    return cache(lambda: tuple(tuple(map(question, images)) for images in strata))


def _likely(images: Sequence[ReviewImage], first: int) -> tuple[int, ...]:
    """Return the class `first` and the commonest zero-shot classes, in a random but fixed order."""
    common = Counter(one.zero_shot for one in images)
    ranked = sorted(common, key=lambda label: (label != first, -common[label], label))
    likely = [*dict.fromkeys([first, *ranked])][:_OPTIONS]
    return tuple(sorted(likely, key=lambda label: draw(f"{images[0].key} {label}")))


def _is_open(image: ReviewImage, answers: Answers) -> bool:
    """Return True if the image has no answer, or is `unsure` because of a question on a group."""
    found = answers.get(image.key)
    return found is None or (found.kind == "unsure" and _is_about_group(found))


def _is_about_group(answer: Answer | None) -> bool:
    return answer is not None and answer.queue == "clusters"
