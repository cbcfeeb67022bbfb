"""Accuracy of a model that learns while a person answers about images that are drawn at random.

Each image is scored with the label that stood before a person answered about it, so no answer
measures a model that it has taught. The images are taken in random order, up to the first one
without an answer. So the mean score estimates the accuracy of the models that answered so far; it
is a little low for the newest one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from latte.interfaces import Interval
from latte.results.answers import UNSEEN, Answer
from latte.results.estimate import mean_interval
from latte.results.one_per_series import shared_answers
from latte.results.population import ReviewImage

LEAST_RANDOM = 20
"""Smallest number of answers about images drawn at random from which there is an estimate."""


@dataclass(frozen=True)
class SequentialScore:
    """The scores of the images in random order that have an answer."""

    images: int
    """Number of images that the sample is drawn from."""
    answers: int
    """Number of answers; images of a series share one."""
    scores: tuple[tuple[float, float], ...]
    """Lowest and highest possible score of each image: 1 if its label was right before the answer,
    else 0; both if the person could not tell."""
    zero_shot: float | None
    """Share of the images whose zero-shot label is right; None without any."""

    @property
    def is_enough(self) -> bool:
        """True if there are enough answers for an estimate."""
        return self.answers >= LEAST_RANDOM

    @property
    def accuracy(self) -> Interval:
        """The mean score, with an interval that holds at every number of answers."""
        return mean_interval(self.scores, self.images, 0)


def counts(answer: Answer | None) -> bool:
    """Return True if a person looked at an image and answered, so that it measures.

    A person who left an image out of a group has not answered about it.
    """
    if answer is None or answer.queue == UNSEEN:
        return False
    return answer.kind != "unsure" or answer.queue != "clusters"


def sequential_score(
    images: Sequence[ReviewImage], answers: Mapping[str, Answer], class_names: Sequence[str]
) -> SequentialScore:
    """Return the scores of `images`, which are in random order, before the first without an answer.

    `answers` has an answer per content key. The images of a series share the answer about one of
    them. Series whose answer does not say which label stood before it are left out.
    """
    labels = {name: label for label, name in enumerate(class_names)}
    counted = {key: answer for key, answer in answers.items() if counts(answer)}
    shared = shared_answers(images, counted)
    is_unknown = {key for key, answer in shared.items() if not answer.before}
    drawn = [image for image in images if image.key not in is_unknown]
    scores, zero_shot, series = list[tuple[float, float]](), list[bool](), set[int]()
    for image in drawn:
        if (answer := shared.get(image.key)) is None:
            break
        before = answer.before
        if answer.key != image.key:
            before = dict(answer.before_others).get(image.key, before)
        true = labels.get(answer.label or "")
        score = float(labels.get(before, -1) == true)
        scores.append((0.0, 1.0) if answer.kind == "unsure" else (score, score))
        zero_shot.append(image.zero_shot == true)
        series.add(image.series)
    share = sum(zero_shot) / len(zero_shot) if zero_shot else None
    return SequentialScore(len(drawn), len(series), tuple(scores), share)
