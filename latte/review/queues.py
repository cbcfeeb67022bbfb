"""The queues of a review, which choose the next question.

Answers in the queue `evidence` measure the gain and never teach the model. Answers in the other
queues teach; these queues ask only about images that can never be evidence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Literal

from latte.results.answers import Answer, Use
from latte.review import groups
from latte.review.groups import Features, Group
from latte.review.population import Population, ReviewImage, draw, teaches

_AGREED_EVERY = 4
"""Every fourth evidence question is about an image on which the models agree."""

QueueName = Literal[
    "evidence", "clusters", "confident", "confused", "duplicates", "unsupported",
    "outliers", "uncertain", "balanced",
]  # fmt: skip
Answers = Mapping[str, Answer]
"""The newest answer for each content key."""


@dataclass(frozen=True)
class Question:
    """A question about one image, or about a sheet: images that may show the same class."""

    images: tuple[ReviewImage, ...]
    options: tuple[int, ...]
    """Labels to offer, in an order that says nothing about the models."""
    examples: tuple[ReviewImage | None, ...] = ()
    """Per option, an image that probably shows this class; empty without examples."""


class Queue(ABC):
    """Ordered questions with one purpose."""

    name: QueueName
    title: str
    prompt = "What does this image show?"
    use: Use = "teaching"
    is_sheet = False
    """True if a question is about several images at once."""
    selected = True
    """True if the images of a sheet are selected at first."""

    @abstractmethod
    def next(self, answers: Answers) -> Question | None:
        """Return the next unanswered question; None if there is none left."""

    @abstractmethod
    def left(self, answers: Answers) -> int:
        """Return the number of questions that could still be asked."""

    def counted(self, answers: Answers) -> int:
        """Return the number of answers."""
        return sum(one.queue == self.name for one in answers.values())


class EvidenceQueue(Queue):
    """Mainly disagreements, also agreements from two strata by confidence; in random order."""

    name = "evidence"
    title = "Measure the gain"
    use = "evidence"

    def __init__(self, population: Population) -> None:
        self._population = population

    def next(self, answers: Answers) -> Question | None:
        """Return the question about the next disagreement, or about the next agreement."""
        asked = sum(one.use == "evidence" for one in answers.values())
        differs, unsure, sure = (next(iter(one), None) for one in self._open(answers))
        agreed = (sure or unsure) if asked // _AGREED_EVERY % 3 == 2 else (unsure or sure)
        turn = asked % _AGREED_EVERY == _AGREED_EVERY - 1
        return _about((agreed or differs) if turn else (differs or agreed))

    def left(self, answers: Answers) -> int:
        """Return the number of images without an answer whose answer would count."""
        return sum(map(len, self._open(answers)))

    def _open(self, answers: Answers) -> list[list[ReviewImage]]:
        """Return the images to ask about: the disagreements, and both strata of agreements.

        After the first answer for teaching, images that may teach can no longer be evidence. The
        estimate counts no image after such a gap in the random order.
        """
        learns = any(one.use == "teaching" for one in answers.values())

        def may_count(image: ReviewImage) -> bool:
            return image.key in answers or not (learns and teaches(image.key))

        strata = (self._population.disagreements, *self._population.agreements)
        return [
            [one for one in takewhile(may_count, images) if one.key not in answers]
            for images in strata
        ]


class SheetQueue(Queue):
    """Questions about groups of images. One answer labels a group; each group is asked once."""

    prompt = "Which class is the most common here? Deselect images that show something else."
    is_sheet = True

    def __init__(self, find_groups: Callable[[], tuple[Group, ...]]) -> None:
        self._find_groups = find_groups

    @cached_property
    def _groups(self) -> tuple[Group, ...]:
        return self._find_groups()

    def shown(self, images: Sequence[ReviewImage]) -> tuple[ReviewImage, ...]:
        """Return the images of a group that its sheet shows."""
        return tuple(images)

    def next(self, answers: Answers) -> Question | None:
        """Return the sheet of the first group without an answer."""
        for group in self._groups:
            images = self._left(group, answers)
            if images:
                return Question(self.shown(images), group.options, group.examples)
        return None

    def left(self, answers: Answers) -> int:
        """Return the number of groups without an answer."""
        return sum(bool(self._left(group, answers)) for group in self._groups)

    def counted(self, answers: Answers) -> int:
        """Return the number of groups with an answer."""
        return sum(self._is_asked(group, answers) for group in self._groups)

    def _left(self, group: Group, answers: Answers) -> list[ReviewImage]:
        """Return the images to ask about; none if the group has an answer."""
        if self._is_asked(group, answers):
            return []
        return [one for one in group.images if _is_open(answers, one)]

    def _is_asked(self, group: Group, answers: Answers) -> bool:
        found = (answers.get(one.key) for one in group.images)
        return any(one is not None and one.queue == self.name for one in found)


class ClusterQueue(SheetQueue):
    """Sheets of clusters, the images of one predicted class; the largest cluster comes first."""

    name = "clusters"
    title = "Teach: name groups of images"

    def shown(self, images: Sequence[ReviewImage]) -> tuple[ReviewImage, ...]:
        """Return typical and doubtful images."""
        return groups.sheet(images)


class ConfidentQueue(SheetQueue):
    """Many images of one predicted class, the most confident first."""

    name = "confident"
    title = "Teach: confirm many images of one class"
    prompt = "Do all these images show the class below? Deselect images that show something else."


class ConfusedQueue(SheetQueue):
    """Images on which the models choose different classes, with an example of each class."""

    name = "confused"
    title = "Teach: pairs of classes that the models confuse"


class DuplicatesQueue(SheetQueue):
    """Images that look almost the same."""

    name = "duplicates"
    title = "Teach: images that look almost the same"
    prompt = "What do these images show? Deselect images that show something else."


class UnsupportedQueue(SheetQueue):
    """Images that may show a class that the model predicts for no image."""

    name = "unsupported"
    title = "Teach: find images of classes that no image got"
    prompt = "Select the images that show the class below, then choose it, even if none does."
    selected = False


class UncertainQueue(Queue):
    """Single images, the least certain first."""

    name: QueueName = "uncertain"
    title = "Teach: least certain images"

    def __init__(self, teaching: Sequence[ReviewImage]) -> None:
        self._teaching = teaching

    def ordered(self) -> Sequence[ReviewImage]:
        """Return the images in the order in which they are asked."""
        return self._teaching

    def next(self, answers: Answers) -> Question | None:
        """Return the first image without an answer."""
        return _about(next((one for one in self.ordered() if _is_open(answers, one)), None))

    def left(self, answers: Answers) -> int:
        """Return the number of images without an answer."""
        return sum(_is_open(answers, one) for one in self._teaching)


class OutliersQueue(UncertainQueue):
    """Single images that fit no class, the worst first."""

    name = "outliers"
    title = "Teach: images that fit no class"

    def __init__(self, teaching: Sequence[ReviewImage], features: Callable[[], Features]) -> None:
        super().__init__(teaching)
        self._features = features

    @cached_property
    def _ordered(self) -> Sequence[ReviewImage]:
        return groups.least_fitting(self._teaching, self._features())

    def ordered(self) -> Sequence[ReviewImage]:
        """Return the images, the worst fit first."""
        return self._ordered


class BalancedQueue(UncertainQueue):
    """Single images, the least certain of each predicted class in turn."""

    name = "balanced"
    title = "Teach: least certain images of each class in turn"

    def next(self, answers: Answers) -> Question | None:
        """Return the least certain image of the predicted class with the fewest answers."""
        asked = dict.fromkeys((one.adapted for one in self._teaching), 0)
        for one in self._teaching:
            asked[one.adapted] += not _is_open(answers, one)
        left = [one for one in self._teaching if _is_open(answers, one)]
        return _about(min(left, key=lambda one: (asked[one.adapted], one.confidence), default=None))


_SHEETS = frozenset(one.name for one in SheetQueue.__subclasses__())


def queues_of(population: Population, features: Callable[[], Features]) -> dict[str, Queue]:
    """Return the queues of a review, by name, in the order in which the page lists them.

    `features` is called when a queue needs features for the first time.
    """
    teaching = sorted(
        (one for one in population.images if teaches(one.key)), key=lambda one: one.confidence
    )
    predicted = {one.adapted for one in population.images}
    found: tuple[Queue, ...] = (
        EvidenceQueue(population),
        ClusterQueue(lambda: groups.clusters(teaching)),
        ConfidentQueue(lambda: groups.confident(teaching)),
        ConfusedQueue(lambda: groups.confused(teaching)),
        DuplicatesQueue(lambda: groups.near_duplicates(teaching, features())),
        UnsupportedQueue(lambda: groups.unsupported(teaching, predicted, features())),
        OutliersQueue(teaching, features),
        UncertainQueue(teaching),
        BalancedQueue(teaching),
    )
    return {one.name: one for one in found}


def _about(image: ReviewImage | None) -> Question | None:
    """Return a question with the models' labels as options, in an order hashed from the content."""
    if image is None:
        return None
    order = sorted(image.labels, key=lambda label: draw(f"{image.key} option {label}"))
    return Question((image,), tuple(order))


def _is_open(answers: Answers, image: ReviewImage) -> bool:
    """Return True if the image has no answer, or was only excluded from a sheet's answer."""
    found = answers.get(image.key)
    return found is None or (found.kind == "unsure" and found.queue in _SHEETS)
