"""Facts about the answers that taught a run, and about what they measure; part of its record."""

from __future__ import annotations

from pydantic import model_validator

from latte.interfaces.checked import Checked, Count, Positive, Share
from latte.interfaces.measurements import Interval


class LeftOutAnswers(Checked):
    """Gain of a model that a person's answers taught, estimated by leaving answers out in turn.

    Each answer is compared with the label that its image gets from a fit without this answer and
    the others of its fold. Answers about images of one series are in the same fold. Gain and
    accuracies are about images without an answer in their series: the answers count by how many
    labels of these images the fits change.

    Attributes:
        answers: Number of answers that were left out.
        series: Number of series of their images; None if the run did not look for series.
        folds: Number of fits.
        zero_shot: Estimated share of images without an answer that zero-shot CLIP labels right.
        adapted: Estimated share that the model labels right.
        gain: Difference of the shares, with its interval.
        doubtful: Ids of images whose answers contradict all others, the most doubtful first.
    """

    answers: Positive
    series: Positive | None = None
    folds: Positive
    zero_shot: Share
    adapted: Share
    gain: Interval
    doubtful: tuple[str, ...] = ()


class AnswerFacts(Checked):
    """Facts about the images whose class a person gave, which teach the run.

    Attributes:
        answers: Number of these images; copies of an image count once.
        series: Number of their series; None if the run did not look for series.
        classes: Number of their classes.
        measured: The gain of the taught model, estimated by leaving answers out in turn; None if it
            was not measured.
        left_out: Number of answers that were left out in turn. They calibrate the confidence of the
            adapted model. Answers that are their class's only one are among them.
    """

    answers: Positive
    series: Positive | None = None
    classes: Positive
    measured: LeftOutAnswers | None = None
    left_out: Count = 0


class SureLabels(Checked):
    """Labels of a taught run's own images with a confidence above a threshold.

    Attributes:
        above: The threshold.
        labels: Number of images without an answer whose calibrated confidence is above it.
        answers: Number of left-out answers about images whose confidence is above it.
        right: Number of these answers that the fits without them give, too.
    """

    above: Share
    labels: Count
    answers: Positive
    right: Count

    @model_validator(mode="after")
    def _check(self) -> SureLabels:
        if self.right > self.answers:
            raise ValueError("more labels are right than there are answers")
        return self
