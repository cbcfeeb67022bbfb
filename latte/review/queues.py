"""The queues of a review: which images each asks about next, and how many are left.

The queue `evidence` measures and never teaches. The other queues teach, and ask only about images
that can never be evidence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from latte.results.answers import Answer, Use
from latte.review.clusters import Cluster, clusters, sheet
from latte.review.population import Population, ReviewImage, draw, teaches

_AGREED_EVERY = 4
"""One in this many evidence questions is about an image on which the models agree."""

QueueName = Literal["evidence", "clusters", "uncertain", "balanced"]
Answers = Mapping[str, Answer]
"""The newest answer for each content key."""


@dataclass(frozen=True)
class Question:
    """A question about one image, or about a sheet of images that may show the same class."""

    images: tuple[ReviewImage, ...]
    options: tuple[int, ...]
    """Labels to offer, in an order that says nothing about the models."""


class Queue(ABC):
    """Questions with one purpose, in an order of their own."""

    title: str
    use: Use = "teaching"

    def __init__(self, name: QueueName) -> None:
        self.name = name

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
    """Mainly disagreements, in random order; and agreements, from two strata by confidence."""

    title = "Measure the gain"
    use = "evidence"

    def __init__(self, population: Population) -> None:
        super().__init__("evidence")
        self._population = population

    def next(self, answers: Answers) -> Question | None:
        """Return the next image of the disagreements, or of a stratum of the agreements."""
        learns = any(one.use == "teaching" for one in answers.values())

        def unanswered(images: Sequence[ReviewImage]) -> ReviewImage | None:
            first = next((one for one in images if one.key not in answers), None)
            # After the first teaching answer, the teaching half can no longer become evidence.
            return None if first is None or (learns and teaches(first.key)) else first

        asked = sum(one.use == "evidence" for one in answers.values())
        differs = unanswered(self._population.disagreements)
        unsure, sure = map(unanswered, self._population.agreements)
        agreed = (sure or unsure) if asked // _AGREED_EVERY % 3 == 2 else (unsure or sure)
        turn = asked % _AGREED_EVERY == _AGREED_EVERY - 1
        return _about((agreed or differs) if turn else (differs or agreed))

    def left(self, answers: Answers) -> int:
        """Return the number of unanswered images."""
        return sum(one.key not in answers for one in self._population.images)


class ClusterQueue(Queue):
    """Sheets of images to which the compared model gives one class, the largest cluster first."""

    title = "Teach: name groups of images"

    def __init__(self, teaching: Sequence[ReviewImage]) -> None:
        super().__init__("clusters")
        self._teaching = teaching

    @cached_property
    def _clusters(self) -> tuple[Cluster, ...]:
        return clusters(self._teaching)

    def next(self, answers: Answers) -> Question | None:
        """Return the sheet of the largest cluster without an answer."""
        for one in self._clusters:
            if self._is_left(one, answers):
                images = [image for image in one.images if _is_open(answers, image)]
                return Question(sheet(images), one.options)
        return None

    def left(self, answers: Answers) -> int:
        """Return the number of clusters without an answer."""
        return sum(self._is_left(one, answers) for one in self._clusters)

    def counted(self, answers: Answers) -> int:
        """Return the number of clusters with an answer."""
        return sum(_is_asked(answers, one) for one in self._clusters)

    def _is_left(self, cluster: Cluster, answers: Answers) -> bool:
        return not _is_asked(answers, cluster) and any(
            _is_open(answers, image) for image in cluster.images
        )


class UncertainQueue(Queue):
    """Single images, the least certain first."""

    title = "Teach: least certain images"

    def __init__(self, teaching: Sequence[ReviewImage], name: QueueName = "uncertain") -> None:
        super().__init__(name)
        self._teaching = teaching

    def next(self, answers: Answers) -> Question | None:
        """Return the least certain image without an answer."""
        return _about(next((one for one in self._teaching if _is_open(answers, one)), None))

    def left(self, answers: Answers) -> int:
        """Return the number of images without an answer."""
        return sum(_is_open(answers, one) for one in self._teaching)


class BalancedQueue(UncertainQueue):
    """Single images, the least certain of each predicted class in turn."""

    title = "Teach: least certain images of each class in turn"

    def next(self, answers: Answers) -> Question | None:
        """Return the least certain image of the predicted class with the fewest answers."""
        asked = dict.fromkeys((one.adapted for one in self._teaching), 0)
        for one in self._teaching:
            asked[one.adapted] += not _is_open(answers, one)
        left = [one for one in self._teaching if _is_open(answers, one)]
        return _about(min(left, key=lambda one: (asked[one.adapted], one.confidence), default=None))


def queues_of(population: Population) -> dict[str, Queue]:
    """Return the queues of a review, by name, in the order in which the page lists them."""
    teaching = sorted(
        (one for one in population.images if teaches(one.key)), key=lambda one: one.confidence
    )
    found: tuple[Queue, ...] = (
        EvidenceQueue(population),
        ClusterQueue(teaching),
        UncertainQueue(teaching),
        BalancedQueue(teaching, "balanced"),
    )
    return {one.name: one for one in found}


def _about(image: ReviewImage | None) -> Question | None:
    """Return a question about an image: its models' labels, in an order drawn from its content."""
    if image is None:
        return None
    order = sorted(image.labels, key=lambda label: draw(f"{image.key} option {label}"))
    return Question((image,), tuple(order))


def _is_open(answers: Answers, image: ReviewImage) -> bool:
    """Return True if the image has no answer, or only that of a sheet that does not apply to it."""
    found = answers.get(image.key)
    return found is None or (found.kind == "unsure" and found.queue == "clusters")


def _is_asked(answers: Answers, cluster: Cluster) -> bool:
    """Return True if a sheet of the cluster has been answered."""
    return any(
        found is not None and found.queue == "clusters"
        for found in (answers.get(one.key) for one in cluster.images)
    )
