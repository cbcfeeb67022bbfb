"""Measures that need the labels of the evaluation split: the real gain, calibration, classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from latte.evaluate.calibration import BINS, calibration_error
from latte.interfaces import Evaluation
from latte.report.diagnosis import classes
from latte.report.diagnosis.classes import ClassRelation, class_means, recall_gains, relate_classes
from latte.report.diagnosis.confidence import Confidence, confidence
from latte.report.diagnosis.measure import Measure, Measurement, Section, make_section
from latte.report.diagnosis.neighbours import Neighbours, purity
from latte.report.diagnosis.subject import Subject, zero_shot_classifier

ZERO_SHOT = Measure(
    "zero_shot_top1", "zero-shot top-1", "share", "test images whose nearest class is the true one"
)
ADAPTED = Measure(
    "adapted_top1",
    "adapted top-1",
    "share",
    "the same by the adapted model",
    contains_gain=True,
)
GAIN = Measure(
    "gain",
    "gain",
    "points",
    "adapted minus zero-shot, in percentage points",
    "Bonett and Price (2012), Journal of Educational and Behavioral Statistics 37:479-488",
    contains_gain=True,
)
CALIBRATION = Measure(
    "calibration_error",
    "calibration error",
    "share",
    f"expected calibration error of zero-shot, {BINS} equal bins; 0: probabilities are how often "
    "answers are right",
    "Guo et al. (2017), ICML: On calibration of modern neural networks",
)
OVERCONFIDENCE = Measure(
    "overconfidence",
    "overconfidence",
    "points",
    "mean confidence minus accuracy of zero-shot; above 0: surer than right",
)


@dataclass(frozen=True)
class Labelled:
    """One run on its labelled test images."""

    test_images: int
    section: Section
    """Accuracies, gain and calibration."""
    gain: float
    """Adapted minus zero-shot top-1."""
    test_images_by_class: tuple[int, ...]
    class_gains: tuple[float, ...]
    """In recall, by class; NaN for a class without test images."""
    relations: tuple[ClassRelation, ...]
    """How label-free measures of a class go with its gain."""


def measure_labelled(subject: Subject, seen: Confidence, near: Neighbours) -> Labelled | None:
    """Measure a run of which `seen` and `near` are about the training images.

    None where the run has no labelled images.
    """
    if not subject.evaluations:
        return None
    by_name = {one.name: one for one in subject.evaluations}
    before, after = by_name["zero-shot"], by_name["adapted"]
    classifier = zero_shot_classifier(subject.zero_shot)
    tested = confidence(subject.test_features, classifier, subject.logit_scale)
    correct = tested.labels == subject.test_labels
    gains = recall_gains(before, after)
    return Labelled(
        test_images=after.images,
        section=make_section(
            "test images (needs labels)",
            "labelled",
            [*_accuracies(before, after), *calibration_measures(tested.confidence, correct)],
        ),
        gain=after.top1.value - before.top1.value,
        test_images_by_class=tuple(one.images for one in after.classes),
        class_gains=tuple(gains),
        relations=tuple(relate_classes(_by_class(subject, seen, near), gains)),
    )


def calibration_measures(confidence: Tensor, correct: Tensor) -> list[Measurement]:
    """How well M > 0 confidences (M,) match what is right (M,)."""
    excess = float(confidence.double().mean() - correct.double().mean())
    return [
        Measurement(CALIBRATION, calibration_error(confidence, correct)),
        Measurement(OVERCONFIDENCE, excess),
    ]


def _accuracies(zero_shot: Evaluation, adapted: Evaluation) -> Iterator[Measurement]:
    """Both accuracies and their difference, with the run's intervals over images."""
    measured = ((ZERO_SHOT, zero_shot.top1), (ADAPTED, adapted.top1), (GAIN, adapted.gain))
    for measure, interval in measured:
        if interval:
            yield Measurement(measure, interval.value, interval=interval)


def _by_class(subject: Subject, seen: Confidence, near: Neighbours) -> dict[Measure, Tensor]:
    """Label-free measures of each class: (C,) each."""
    frozen, count = subject.zero_shot.zero_shot_labels, len(subject.class_names)
    kept = (subject.adapted_labels == frozen).double()
    measured = {
        classes.IMAGES: frozen.bincount(minlength=count).double(),
        classes.CONFIDENCE: class_means(seen.confidence, frozen, count),
        classes.PURITY: class_means(purity(frozen, near), frozen[near.queries], count),
        classes.KEPT: class_means(kept, frozen, count),
    }
    for name in subject.texts.answered:
        measure = classes.NAMED.of(f"class.description.{name}", name)
        measured[measure] = class_means(subject.texts.named(name, frozen), frozen, count)
    return measured
