"""Questions of a review of made-up images, and answers to them."""

from __future__ import annotations

from collections.abc import Sequence

from latte.results.answers import TaskName
from latte.results.population import ReviewImage
from latte.review.session import Mark, Review
from latte.review.tasks import TaskPlace

NAMES = ("cat", "dog", "bird")


def answered(review: Review, count: int) -> list[str]:
    """Answer `count` questions of the evidence with the zero-shot label; return their keys."""
    answered_keys = []
    for _ in range(count):
        (image,) = question(review, "evidence")
        answered_keys.append(image.key)
        review.save("evidence", [Mark(image.key, "class", NAMES[image.zero_shot])])
    return answered_keys


def question(review: Review, task: TaskName) -> Sequence[ReviewImage]:
    """Return the images of the next question of a task; empty if there is none left."""
    return next(review.questions(TaskPlace(task=task)), ())


def left(review: Review, task: TaskName) -> int:
    """Return the number of groups or images that a task still asks about."""
    questions = review.questions(TaskPlace(task=task))
    return sum(1 if task == "clusters" else len(images) for images in questions)


def marks(images: Sequence[ReviewImage], label: str | None) -> list[Mark]:
    """Return answers with the class `label`, or `unsure` if it is None."""
    return [Mark(image.key, "class" if label else "unsure", label) for image in images]
