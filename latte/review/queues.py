"""Queues of a review: lists of questions for the person who reviews a run.

Answers in the queue `evidence` measure the gain and never become training labels. Answers in all
other queues (for *teaching*) become training labels; these queues ask only about images that were
randomly chosen for teaching.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from itertools import takewhile
from typing import Literal, get_args

from latte.results.answers import Answer, Use
from latte.review import groups
from latte.review.groups import Features, Question
from latte.review.population import Population, ReviewImage, draw, teaches
from latte.review.sentences import NAME_GROUPS

_AGREED_EVERY = 4
"""Every fourth question that measures the gain is about an image on which the models agree."""
_WHICH_CLASS = "Which class is the most common here? Deselect images that show something else."

SheetName = Literal["clusters", "confident", "confused", "duplicates", "unsupported"]
QueueName = Literal["evidence", SheetName, "outliers", "uncertain", "balanced"]
Answers = Mapping[str, Answer]
"""The newest answer for each content key."""


class Queue(ABC):
    """List of questions of one kind; the next question may depend on the answers so far."""

    use: Use = "teaching"
    prompt = "What does this image show?"
    is_sheet = False
    """True if a question is about several images at once."""
    selected = True
    """True if the images of a sheet are selected at first."""

    def __init__(self, name: QueueName, title: str) -> None:
        self.name = name
        self.title = title

    @abstractmethod
    def next(self, answers: Answers) -> Question | None:
        """Return the next unanswered question; None if there is none left."""

    @abstractmethod
    def left(self, answers: Answers) -> int:
        """Return the number of questions that could still be asked."""

    def counted(self, answers: Answers) -> int:
        """Return the number of answers to questions of this queue."""
        return sum(one.queue == self.name for one in answers.values())


class EvidenceQueue(Queue):
    """Questions that measure the gain, mostly about images on which the two models disagree.

    Every fourth question is about an image on which the models agree. Two of three such images have
    a confidence below the median.
    """

    use = "evidence"

    def __init__(self, population: Population) -> None:
        super().__init__("evidence", "Measure the gain")
        self._population = population

    def next(self, answers: Answers) -> Question | None:
        """Return the next question."""
        asked = sum(one.use == "evidence" for one in answers.values())
        differs, unsure, sure = (next(iter(one), None) for one in self._open(answers))
        agreed = (sure or unsure) if asked // _AGREED_EVERY % 3 == 2 else (unsure or sure)
        turn = asked % _AGREED_EVERY == _AGREED_EVERY - 1
        return _about((agreed or differs) if turn else (differs or agreed))

    def left(self, answers: Answers) -> int:
        """Return the number of images that can still be asked about."""
        return sum(map(len, self._open(answers)))

    def _open(self, answers: Answers) -> list[list[ReviewImage]]:
        """Return the images left to ask about, in the order of asking, as three lists.

        The models disagree on the first list, agree with low confidence on the second, and with
        high confidence on the third. Once there is an answer for teaching, each list ends at its
        first unanswered image that was drawn for teaching, because estimates ignore answers
        after an unanswered image.
        """
        learns = any(one.use == "teaching" for one in answers.values())

        def may_count(image: ReviewImage) -> bool:
            return image.key in answers or not (learns and teaches(image.key))

        return [
            [one for one in takewhile(may_count, images) if one.key not in answers]
            for images in (self._population.disagreements, *self._population.agreements)
        ]


class SheetQueue(Queue):
    """Questions about groups of images; one answer labels a whole group."""

    is_sheet = True

    def __init__(
        self,
        name: SheetName,
        title: str,
        find_groups: Callable[[], tuple[Question, ...]],
        prompt: str = _WHICH_CLASS,
        *,
        selected: bool = True,
        shown: Callable[[Sequence[ReviewImage]], tuple[ReviewImage, ...]] = tuple,
    ) -> None:
        """Create a queue; `shown` selects the images that a question about a group shows."""
        super().__init__(name, title)
        self._find_groups = find_groups
        self.prompt = prompt
        self.selected = selected
        self._shown = shown

    @cached_property
    def _groups(self) -> tuple[Question, ...]:
        return self._find_groups()

    def next(self, answers: Answers) -> Question | None:
        """Return the question about the first group without an answer."""
        for group in self._groups:
            if images := self._left(group, answers):
                return replace(group, images=self._shown(images))
        return None

    def left(self, answers: Answers) -> int:
        """Return the number of groups without an answer."""
        return sum(bool(self._left(group, answers)) for group in self._groups)

    def counted(self, answers: Answers) -> int:
        """Return the number of groups with an answer."""
        return sum(self._is_asked(group, answers) for group in self._groups)

    def _left(self, group: Question, answers: Answers) -> list[ReviewImage]:
        """Return the group's images without an answer; empty if the group was asked about."""
        if self._is_asked(group, answers):
            return []
        return [one for one in group.images if _is_open(answers, one)]

    def _is_asked(self, group: Question, answers: Answers) -> bool:
        found = (answers.get(one.key) for one in group.images)
        return any(one is not None and one.queue == self.name for one in found)


class SingleQueue(Queue):
    """Questions about single images, in an order that may depend on the answers so far."""

    def __init__(
        self,
        name: QueueName,
        title: str,
        images: Sequence[ReviewImage],
        ordered: Callable[[Answers], Iterable[ReviewImage]],
    ) -> None:
        super().__init__(name, title)
        self._images = images
        self._ordered = ordered

    def next(self, answers: Answers) -> Question | None:
        """Return the first image without an answer."""
        ordered = self._ordered(answers)
        return _about(next((one for one in ordered if _is_open(answers, one)), None))

    def left(self, answers: Answers) -> int:
        """Return the number of images without an answer."""
        return sum(_is_open(answers, one) for one in self._images)


def queues_of(population: Population, features: Callable[[], Features]) -> dict[str, Queue]:
    """Return the queues of a review by name; `features` loads image features when needed."""
    teaching = sorted(
        (one for one in population.images if teaches(one.key)), key=lambda one: one.confidence
    )
    predicted = {one.adapted for one in population.images}

    worst_fit = cache(lambda: groups.least_fitting(teaching, features()))

    def balanced(answers: Answers) -> Iterable[ReviewImage]:
        # Classes with few answers come first, and within a class the least certain images.
        asked = Counter(one.adapted for one in teaching if not _is_open(answers, one))
        return sorted(teaching, key=lambda one: asked[one.adapted])

    found: tuple[Queue, ...] = (
        EvidenceQueue(population),
        SheetQueue(
            "clusters",
            NAME_GROUPS,
            lambda: groups.clusters(teaching),
            shown=groups.sheet,
        ),
        SheetQueue(
            "confident",
            "Teach: confirm many images of one class",
            lambda: groups.confident(teaching),
            "Do all these images show the class below? Deselect images that show something else.",
        ),
        SheetQueue(
            "confused",
            "Teach: pairs of classes that the models confuse",
            lambda: groups.confused(teaching),
        ),
        SheetQueue(
            "duplicates",
            "Teach: images that look almost the same",
            lambda: groups.near_duplicates(teaching, features()),
            "What do these images show? Deselect images that show something else.",
        ),
        SheetQueue(
            "unsupported",
            "Teach: find images of classes that no image got",
            lambda: groups.unsupported(teaching, predicted, features()),
            "Select the images that show the class below, then choose it, even if none does.",
            selected=False,
        ),
        SingleQueue("outliers", "Teach: images that fit no class", teaching, lambda _: worst_fit()),
        SingleQueue("uncertain", "Teach: least certain images", teaching, lambda _: teaching),
        SingleQueue(
            "balanced", "Teach: least certain images of each class in turn", teaching, balanced
        ),
    )
    return {one.name: one for one in found}


def _about(image: ReviewImage | None) -> Question | None:
    """Return a question whose options are the models' labels; None if `image` is None."""
    if image is None:
        return None
    order = sorted(image.labels, key=lambda label: draw(f"{image.key} option {label}"))
    return Question((image,), tuple(order))


def _is_open(answers: Answers, image: ReviewImage) -> bool:
    """Return True if the image has no answer, or is `unsure` because of a question on a group."""
    found = answers.get(image.key)
    return found is None or (found.kind == "unsure" and found.queue in get_args(SheetName))
