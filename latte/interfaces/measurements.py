"""Measurements of a run: accuracies, calibration, and the classes that occur."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from latte.interfaces.checked import CHECKED, ROUNDING, Count, Positive, Share

Role = Literal["zero-shot", "adapted", "mixed", "control"]
"""Role of a model in its run; `mixed` is a mix of the zero-shot and the adapted model."""
ZERO_SHOT: Literal["zero-shot"] = "zero-shot"
"""Role of the frozen CLIP, and name of the only learner of the zero-shot model."""
UsedModel = Literal["adapted", "zero-shot"]
"""A model that can be used instead of the one that the run uses."""

_Scale = Annotated[float, Field(ge=1e-6, le=1e6)]
"""A plausible scale of similarities; CLIP's own is at most 100."""


@dataclass(frozen=True, config=CHECKED)
class Interval:
    """Measured value with its 95 % confidence interval, as fractions: 0.61 is 61 %.

    Example:
        >>> from latte.api import Interval
        >>> Interval(value=0.61, low=0.58, high=0.64).value
        0.61
    """

    value: float
    low: float
    high: float

    @model_validator(mode="after")
    def _check(self) -> Interval:
        if not self.low - ROUNDING <= self.value <= self.high + ROUNDING:
            raise ValueError("a value is outside its interval")
        return self

    def is_within(self, low: float, high: float) -> bool:
        """Return True if the whole interval is between `low` and `high`, except for rounding."""
        return low - ROUNDING <= self.low and self.high <= high + ROUNDING


@dataclass(frozen=True, config=CHECKED)
class ClassAccuracy:
    """Number of correctly classified evaluation images of one class.

    Example:
        >>> from latte.api import ClassAccuracy
        >>> accuracy = ClassAccuracy(correct=14, images=20)
        >>> accuracy.correct / accuracy.images
        0.7
    """

    correct: Count
    images: Count


@dataclass(frozen=True, config=CHECKED)
class Evaluation:
    """Accuracy on images of the evaluation split.

    Attributes:
        classes: Accuracy per class, in label order.
        gain: Gain in top-1 over zero-shot on the same images (paired); None for zero-shot itself.

    Example:
        >>> from latte.api import ClassAccuracy, Evaluation, Interval
        >>> evaluation = Evaluation(
        ...     images=40, top1=Interval(0.6, 0.45, 0.75), top5=1.0, mean_per_class=0.6,
        ...     classes=(ClassAccuracy(14, 20), ClassAccuracy(10, 20)), gain=None,
        ... )
        >>> evaluation.top1.value
        0.6
    """

    images: Positive
    top1: Interval
    top5: Share
    mean_per_class: Share
    classes: tuple[ClassAccuracy, ...]
    gain: Interval | None

    @model_validator(mode="after")
    def _check(self) -> Evaluation:
        counts_are_possible = all(counts.correct <= counts.images for counts in self.classes)
        if not counts_are_possible or sum(counts.images for counts in self.classes) != self.images:
            raise ValueError("its counts do not add up")
        if not self.top1.is_within(0, 1):
            raise ValueError("a share is not between 0 and 1")
        if self.gain is not None and not self.gain.is_within(-1, 1):
            raise ValueError("a gain is not between -1 and 1")
        return self


@dataclass(frozen=True, config=CHECKED)
class Calibration:
    """Calibration of a model's confidence, without labels or by left-out answers.

    With `scale` in place of the logit scale, the mean confidence equals an accuracy that latte
    estimates without labels. If a person's answers taught the model, scale and exponent are those
    that make left-out answers likeliest. Only the calibration error needs labels of evaluation
    images.

    Attributes:
        scale: Calibrated factor of similarities before softmax; replaces the model's logit scale.
        logit_scale: Logit scale of the model.
        expected_accuracy: Accuracy estimated as mean calibrated confidence on training images.
        images: Number of training images used for calibration.
        error: Expected calibration error on the evaluation images, which calibration does not use.
        uncalibrated_error: Expected calibration error with the model's logit scale.
        own_exponent: Exponent that calibrates the posterior (a labeler's class probabilities of the
            training images). Each probability is raised to this exponent, then the probabilities
            of an image are divided by their sum. None if there is no posterior, if it has one class
            per image, or if a person gave the class of every image.

    Example:
        >>> from latte.api import Calibration
        >>> Calibration(scale=50, logit_scale=100, expected_accuracy=0.7, images=200).temperature
        2.0
    """

    scale: _Scale
    logit_scale: _Scale
    expected_accuracy: Share
    images: Positive
    error: Share | None = None
    uncalibrated_error: Share | None = None
    own_exponent: Annotated[float, Field(ge=1e-3, le=1e3)] | None = None

    @property
    def temperature(self) -> float:
        """Number by which calibration divides the logits; above 1 if the model is overconfident."""
        return self.logit_scale / self.scale


@dataclass(frozen=True, config=CHECKED)
class RunModel:
    """A model of a run, and what is known about it.

    Attributes:
        name: The role, or the name of the control.
        classifier: Accuracy of the classifier; None if the dataset has no evaluation split. If the
            model has a posterior, and the run uses the adapted model in full, only test images
            that are no training images are used, unless there are no others.
        own_images: Accuracy on the test images that are also training images, if a labeler returned
            a posterior (class probabilities of the training images). It measures the posterior; for
            the zero-shot model, it measures the classifier on the same images.
        calibration: Calibration of the model's confidence.

    Example:
        >>> from latte.api import RunModel
        >>> def line(model: RunModel) -> str:
        ...     accuracies = model.accuracies()
        ...     return ", ".join(f"{name} {accuracy.top1.value}" for name, accuracy in accuracies)
    """

    name: str
    role: Role
    classifier: Evaluation | None = None
    own_images: Evaluation | None = None
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _check(self) -> RunModel:
        for title, evaluation in self.accuracies():
            if evaluation.gain is None and self.role != "zero-shot":
                raise ValueError(f"{title}: the gain is missing")
        return self

    def as_control(self, name: str) -> RunModel:
        """Return this model as the control `name` of another run; zero-shot CLIP has no gain."""
        classifier, own_images = (
            evaluation and replace(evaluation, gain=evaluation.gain or Interval(0, 0, 0))
            for evaluation in (self.classifier, self.own_images)
        )
        return RunModel(name, "control", classifier, own_images, self.calibration)

    def accuracies(self) -> Iterator[tuple[str, Evaluation]]:
        """Yield a title and the accuracy of the classifier and of the run's own images, if any."""
        if self.classifier is not None:
            yield self.name, self.classifier
        if self.own_images is not None:
            yield f"{self.name}, own images", self.own_images
