"""The three tasks of a review: name groups of images, measure the gain, look through the labels.

Answers of every task teach the next model. Answers in the task `evidence` also measure the gain of
the reviewed model, because this task asks about images in a random order that was fixed before any
answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from latte.results.answers import Answer, TaskName, counts
from latte.results.population import ReviewImage

Answers = Mapping[str, Answer]
"""The newest answer for each content key; for the task `evidence`, only of images that it drew."""

ALL_SHOWN = 12
"""Up to this number of classes, every question offers all classes."""
_LIKELIEST = 9
"""With more classes, the number of likely classes that a question offers."""
_TYPICAL, _DOUBTFUL = 9, 3
"""Numbers of a group's most confident and least confident images in a question."""
SHEET = _TYPICAL + _DOUBTFUL
"""Largest number of images in a question."""


TASKS: Sequence[TaskName] = ("clusters", "evidence", "images")
"""Names of the tasks, which are also the queues of their answers."""


class TaskPlace(BaseModel):
    """A place in a task: where the page asks."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    task: TaskName
    label: int | None = None
    """The class to whose images the task `images` is limited."""
    skip: int = Field(0, ge=0)
    """Number of images that the task `images` leaves out at its start."""


def groups(
    images: Sequence[ReviewImage], answers: Answers, since: str
) -> Iterator[Sequence[ReviewImage]]:
    """Yield the images of each group that is still to be named, the most doubtful group first.

    A group is the images to which the newest adapted model gives the same class, even if the guard
    did not accept this model, because a group shows no label. It is named once per model, so
    answers before the time `since` of the model do not count. A question shows the most and the
    least confident images that have no answer.
    """
    members: dict[int, list[ReviewImage]] = {}
    for image in sorted(images, key=lambda image: -image.adapted_confidence):
        members.setdefault(image.adapted, []).append(image)
    open_groups = [
        [image for image in group if is_open(answers.get(image.key))]
        for group in members.values()
        if not any(_is_named(answers.get(image.key), since) for image in group)
    ]
    doubt = {
        id(group): sum(1 - image.adapted_confidence for image in group) for group in open_groups
    }
    for group in sorted(filter(None, open_groups), key=lambda group: -doubt[id(group)]):
        doubtful = group[_TYPICAL:]
        yield (*group[:_TYPICAL], *doubtful[max(0, len(doubtful) - _DOUBTFUL) :])


def measurements(images: Sequence[ReviewImage], answers: Answers) -> Iterator[ReviewImage]:
    """Yield the images that measure, in random order: one of each series without an answer."""
    counted = {key for key, answer in answers.items() if counts(answer)}
    asked = {image.series for image in images if image.key in counted}
    for image in images:
        if image.series not in asked:
            asked.add(image.series)
            yield image


def sheets(
    images: Sequence[ReviewImage],
    answers: Answers,
    place: TaskPlace,
    first_keys: Sequence[str],
    doubtful: Collection[str] = (),
) -> Iterator[Sequence[ReviewImage]]:
    """Yield the images without an answer in sheets, the most doubtful images first.

    If images of all classes are shown, those with the content keys `first_keys` come first. Images
    with the content keys `doubtful` are shown although they have an answer, to check it.
    """
    ranks = {key: rank for rank, key in enumerate(first_keys if place.label is None else ())}
    unanswered = (
        image
        for image in images
        if (is_open(answers.get(image.key)) or image.key in doubtful)
        and place.label in (None, image.used_label)
    )
    ranked = sorted(
        unanswered, key=lambda image: (ranks.get(image.key, len(ranks)), image.used_confidence)
    )
    return (ranked[start : start + SHEET] for start in range(place.skip, len(ranked), SHEET))


class Likely:
    """The classes that a question offers as answers."""

    def __init__(self, images: Sequence[ReviewImage], class_count: int) -> None:
        self._class_count = class_count
        self._pairs = Counter((image.zero_shot, image.adapted) for image in images)
        self._common = Counter(image.used_label for image in images)

    def labels(self, images: Sequence[ReviewImage]) -> tuple[int, ...]:
        """Return all labels if they are few, else the likeliest labels of `images`, ascending.

        The likeliest labels are those of the models, then the labels that one model gives to images
        with the same label by the other model, then the commonest labels. Their order does not show
        which model gave a label.
        """
        if self._class_count <= ALL_SHOWN:
            return tuple(range(self._class_count))
        votes = Counter(label for image in images for label in {*image.labels, image.used_label})
        confused = Counter[int]()
        for (zero_shot, adapted), number in self._pairs.items():
            confused[adapted] += number * votes[zero_shot]
            confused[zero_shot] += number * votes[adapted]
        ranked = sorted(
            {*confused, *votes},
            key=lambda label: (-votes[label], -confused[label], -self._common[label], label),
        )
        return tuple(sorted(ranked[:_LIKELIEST]))


def is_open(answer: Answer | None) -> bool:
    """Return True if there is no answer, or it is `unsure` because of a question on a group."""
    return answer is None or (answer.kind == "unsure" and answer.queue == "clusters")


def _is_named(answer: Answer | None, since: str) -> bool:
    return answer is not None and answer.queue == "clusters" and answer.time > since
