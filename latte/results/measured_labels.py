"""Accuracy of a run's newest labels, from answers about images that are drawn at random.

While a person measures, the answers do not teach. So all of them are about the same labels, and the
interval for a fixed mean holds. It would not hold for labels that follow every answer: they become
better than those that were scored (`python -m benchmarks review --moving`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from latte.interfaces import Interval
from latte.results.answers import Answer, counts
from latte.results.estimate import mean_interval
from latte.results.one_per_series import shared_answers
from latte.results.population import ReviewImage

LEAST_RANDOM = 20
"""Smallest number of answers about images drawn at random from which there is an estimate."""

_Score = tuple[float, float]
"""Lowest and highest possible score of a label: 1 if it is right, else 0."""


@dataclass(frozen=True)
class MeasuredLabels:
    """Scores of labels, by answers."""

    known: Sequence[_Score]
    """Scores of the images of all series that were answered before this measurement."""
    drawn: Sequence[_Score]
    """Scores of the other images in random order, before the first one without an answer."""
    others: int
    """Number of images that `drawn` is drawn from."""
    answers: int
    """Number of answers that measure; images of a series share one."""
    zero_shot: float | None
    """Share of the drawn images whose zero-shot label is right; None without any."""

    @property
    def is_enough(self) -> bool:
        """True if there are enough answers for an estimate."""
        return self.answers >= LEAST_RANDOM

    @property
    def accuracy(self) -> Interval:
        """The accuracy of all labels, with an interval that holds at every number of answers."""
        mean, count = mean_interval(self.drawn, self.others, 0), len(self.known) + self.others
        low, high = (
            (sum(scores) for scores in zip(*self.known, strict=True)) if self.known else (0, 0)
        )
        middle = (low + high) / 2
        return Interval(
            (middle + self.others * mean.value) / count,
            (low + self.others * mean.low) / count,
            (high + self.others * mean.high) / count,
        )


def measured_labels(
    images: Sequence[ReviewImage],
    answers: Mapping[str, Answer],
    class_names: Sequence[str],
    model: str,
) -> MeasuredLabels:
    """Score the labels that the model with the digest `model` gives to `images`, in random order.

    `answers` has an answer per content key. Those that were given when the images had these labels
    measure them; earlier ones are known, and are no random sample. The images of a series share the
    answer about one of them.
    """
    labels = {name: label for label, name in enumerate(class_names)}
    counted = {key: answer for key, answer in answers.items() if counts(answer)}
    shared = shared_answers(images, counted)
    known, drawn, zero_shot = list[_Score](), list[_Score](), list[bool]()
    series, others, is_open = set[int](), 0, False
    for image in images:
        answer = shared.get(image.key)
        if answer is not None and answer.model != model:
            known.append(_score(image, answer, labels))
            continue
        others += 1
        is_open = is_open or answer is None
        if answer is not None and not is_open:
            drawn.append(_score(image, answer, labels))
            zero_shot.append(image.zero_shot == labels.get(answer.label or ""))
            series.add(image.series)
    share = sum(zero_shot) / len(zero_shot) if zero_shot else None
    return MeasuredLabels(known, drawn, others, len(series), share)


def _score(image: ReviewImage, answer: Answer, labels: Mapping[str, int]) -> _Score:
    if answer.kind == "unsure":
        return 0.0, 1.0
    score = float(image.used_label == labels.get(answer.label or "", -1))
    return score, score
