"""Estimate the gain of the adapted model from a person's answers.

Zero-shot CLIP and the adapted model have different accuracies only where they disagree. If they
disagree on D of N images and a person has answered m of these D in random order, the estimated gain
is D / N * (a - z) / m: the adapted model is right on a of the m images, and zero-shot CLIP on z.
The accuracies themselves also need answers on images where the models agree. These images are
sampled from two strata: low and high confidence.

A person is asked about one image of a series, and all images of the series share the answer. The
sample still consists of images in random order, so that the estimate is about images: a series that
is large is drawn early. Only the number of answers is smaller than that of the images.

All intervals are confidence sequences: they hold at the same time for every number of answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from latte.evaluate.confidence_sequence import confidence_sequence
from latte.interfaces import Interval
from latte.results.answers import Answer
from latte.results.one_per_series import shared_answers
from latte.results.population import Population, ReviewImage

_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """The gain and the accuracies that follow from the answers so far."""

    images: int
    """N: number of images that the estimate is about."""
    disagreements: int
    """D: number of images to which the two models give different classes."""
    answered: int
    """m: number of disagreements that have an answer, `unsure` included. Images of a series share
    an answer."""
    series: int
    """Number of series of these images, which is the number of answers about them."""
    unsure: int
    """Number of images whose class the person could not tell; the interval allows for any class."""
    neither: int
    """Number of answered disagreements on which neither model is right."""
    gain: Interval
    zero_shot: Interval
    adapted: Interval
    agreeing: int = 0
    """Number of answers that measure the gain, on images where the models agree."""
    waiting: int = 0
    """Number of answered disagreements after the first unanswered one, in the order of asking."""

    @property
    def better(self) -> Literal["adapted", "zero-shot"] | None:
        """The better model if the interval of the gain excludes 0, else None."""
        if self.gain.low > 0:
            return "adapted"
        return "zero-shot" if self.gain.high < 0 else None


def estimate(
    population: Population, answers: Mapping[str, Answer], class_names: Sequence[str]
) -> Estimate:
    """Estimate the gain and both models' accuracies from a person's answers.

    `answers` has an answer per content key, about images that were drawn at random; all class names
    in it must be in `class_names`.
    There are three strata of images: disagreements of the models, and agreements with low or with
    high confidence. In each stratum, only answers before the first unanswered image are used,
    because only these are a random sample without replacement. An image without an answer has the
    answer about its series, if there is one.
    """
    answered = _AnsweredImages(population.images, answers, class_names)
    disagreed = answered.first(population.disagreements)
    strata = [answered.first(stratum) for stratum in population.agreements]
    sizes = [len(stratum) for stratum in population.agreements]
    images, differ = len(population.images), len(population.disagreements)
    bounds: list[tuple[float, float]] = []
    for image in disagreed:
        true = answered.label(image)
        value = (image.adapted == true) - (image.zero_shot == true)
        bounds.append((-1, 1) if answered.is_unsure(image) else (value, value))
    gain = mean_interval(bounds, differ, -1)
    return Estimate(
        images=images,
        disagreements=differ,
        answered=len(disagreed),
        series=len({image.series for image in disagreed}),
        unsure=sum(answered.is_unsure(image) for image in disagreed),
        neither=sum(
            not answered.is_unsure(image) and answered.label(image) not in image.labels
            for image in disagreed
        ),
        gain=_scaled(gain, differ, images),
        zero_shot=_accuracy(
            answered, [disagreed, *strata], [differ, *sizes], lambda i: i.zero_shot
        ),
        adapted=_accuracy(answered, [disagreed, *strata], [differ, *sizes], lambda i: i.adapted),
        agreeing=sum(map(answered.count, population.agreements)),
        waiting=answered.count(population.disagreements) - answered.count(disagreed),
    )


class _AnsweredImages:
    """Answers about images, with class labels in place of class names."""

    def __init__(
        self,
        images: Sequence[ReviewImage],
        answers: Mapping[str, Answer],
        class_names: Sequence[str],
    ) -> None:
        self._given = answers
        self._answers = shared_answers(images, answers)
        self._labels = {name: label for label, name in enumerate(class_names)}

    def first(self, images: Sequence[ReviewImage]) -> list[ReviewImage]:
        """Return the `images` before the first image whose series has no answer."""
        return [*takewhile(self._has_answer, images)]

    def count(self, images: Sequence[ReviewImage]) -> int:
        """Return the number of answers about these images themselves."""
        return sum(image.key in self._given for image in images)

    def _has_answer(self, image: ReviewImage) -> bool:
        return image.key in self._answers

    def is_unsure(self, image: ReviewImage) -> bool:
        return self._answers[image.key].kind == "unsure"

    def label(self, image: ReviewImage) -> int | None:
        """Return the label of the answer; None for "none of the classes" and "cannot tell"."""
        name = self._answers[image.key].label
        return None if name is None else self._labels[name]


def mean_interval(
    bounds: Sequence[tuple[float, float]], size: int, low: float, level: float = _LEVEL
) -> Interval:
    """Return an interval for the mean over `size` images of a value between `low` and 1.

    `bounds` has the lowest and the highest possible value of each answered image.
    """
    lower = confidence_sequence([lowest for lowest, _ in bounds], size, low, 1, level)
    upper = confidence_sequence([highest for _, highest in bounds], size, low, 1, level)
    return Interval((lower.value + upper.value) / 2, lower.low, upper.high)


def _accuracy(
    answered: _AnsweredImages,
    strata: Sequence[Sequence[ReviewImage]],
    sizes: Sequence[int],
    label: Callable[[ReviewImage], int],
) -> Interval:
    """Return a model's accuracy over all strata, which are sets of images sampled separately.

    The error probabilities of the strata add up to 1 - `_LEVEL` (Bonferroni).
    """
    level, intervals = 1 - (1 - _LEVEL) / len(strata), []
    for images, size in zip(strata, sizes, strict=True):
        bounds = [
            (0.0, 1.0)
            if answered.is_unsure(image)
            else (float(label(image) == answered.label(image)),) * 2
            for image in images
        ]
        intervals.append(_scaled(mean_interval(bounds, size, 0, level), size, sum(sizes)))
    bounds_of_strata = [(mean.value, mean.low, mean.high) for mean in intervals]
    return Interval(*map(sum, zip(*bounds_of_strata, strict=True)))


def _scaled(mean: Interval, size: int, images: int) -> Interval:
    share = size / images if images else 0.0
    return Interval(mean.value * share, mean.low * share, mean.high * share)
