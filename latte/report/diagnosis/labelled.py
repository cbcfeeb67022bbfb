"""Measures that need labelled test images: the gain, calibration, and gains per class."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.evaluate.calibration import BINS, calibration_error
from latte.evaluate.rank_correlation import Correlation, correlate
from latte.interfaces import Evaluation
from latte.report.diagnosis.measures import (
    Confidence,
    Measure,
    Measurement,
    Neighbours,
    Section,
    confidence,
    make_section,
    purity,
)
from latte.report.diagnosis.subject import Subject

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
    f"expected calibration error of zero-shot, {BINS} equal bins; 0: answers are right as often as "
    "their probability says",
    "Guo et al. (2017), ICML: On calibration of modern neural networks",
)
OVERCONFIDENCE = Measure(
    "overconfidence",
    "overconfidence",
    "points",
    "mean confidence minus accuracy of zero-shot; above 0: more confident than right",
)

CLASS_IMAGES = Measure("class.images", "images", "count", "training images with this frozen label")
CLASS_CONFIDENCE = Measure(
    "class.confidence",
    "confidence",
    "share",
    "their mean probability of the top class, by frozen CLIP",
)
CLASS_PURITY = Measure(
    "class.neighbour_agreement",
    "neighbours agree",
    "share",
    "share of their nearest images with the same label",
)
CLASS_LABELS_KEPT = Measure(
    "class.labels_kept", "labels kept", "share", "share of these images that keep the label"
)
CLASS_NAMED = Measure(
    "names_label", "texts name it", "share", "share of their texts that are nearest to the class"
)


@dataclass(frozen=True)
class ClassRelation:
    """Correlation of one measure with the gain in recall; each class is one data point."""

    measure: Measure
    values: tuple[float, ...]
    """One value per class in label order; NaN if the measure is not defined for a class."""
    correlation: Correlation


@dataclass(frozen=True)
class Labelled:
    """Measures of one run on its labelled test images."""

    test_images: int
    section: Section
    """Accuracies, gain and calibration."""
    gain: float
    """Adapted minus zero-shot top-1, as a fraction."""
    test_images_by_class: tuple[int, ...]
    class_gains: tuple[float, ...]
    """Gain in recall per class; NaN for a class without test images."""
    relations: tuple[ClassRelation, ...]
    """Correlations of the classes' label-free measures with the classes' gains."""


def measure_labelled(subject: Subject, seen: Confidence, near: Neighbours) -> Labelled | None:
    """Return the measures of a run; None if it has no labelled images.

    `seen` and `near` are the zero-shot confidence and the neighbours of its training images.
    """
    if not subject.evaluations:
        return None
    by_name = {one.name: one for one in subject.evaluations}
    before, after = by_name["zero-shot"], by_name["adapted"]
    tested = confidence(subject.test_features, subject.zero_shot.classifier, subject.logit_scale)
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
    """Return calibration error and overconfidence, from confidences and correctness (M,), M > 0."""
    excess = float(confidence.double().mean() - correct.double().mean())
    return [
        Measurement(CALIBRATION, calibration_error(confidence, correct)),
        Measurement(OVERCONFIDENCE, excess),
    ]


def class_means(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return, per class, the mean (C,) of `values` (N,) over the images with this label.

    NaN values are left out; a class without any value has NaN.
    """
    counted = values.isfinite()
    values, labels = values[counted].double(), labels[counted]
    sums = torch.zeros(classes, dtype=torch.float64).index_add(0, labels, values)
    return sums / labels.bincount(minlength=classes)


def recall_gains(zero_shot: Evaluation, adapted: Evaluation) -> list[float]:
    """Return adapted minus zero-shot recall per class; NaN for a class without test images."""
    return [
        (now.correct - was.correct) / now.images if now.images else math.nan
        for was, now in zip(zero_shot.classes, adapted.classes, strict=True)
    ]


def relate_classes(
    measured: Mapping[Measure, Tensor], gains: Sequence[float]
) -> list[ClassRelation]:
    """Correlate each measure (C,) with the gains (C,); intervals are bootstrapped over classes."""
    return [
        ClassRelation(measure, tuple(values.tolist()), correlate(values.tolist(), gains, True))
        for measure, values in measured.items()
    ]


def _accuracies(zero_shot: Evaluation, adapted: Evaluation) -> Iterator[Measurement]:
    """Yield both accuracies and the gain, with their intervals over images."""
    measured = ((ZERO_SHOT, zero_shot.top1), (ADAPTED, adapted.top1), (GAIN, adapted.gain))
    for measure, interval in measured:
        if interval:
            yield Measurement(measure, interval.value, interval=interval)


def _by_class(subject: Subject, seen: Confidence, near: Neighbours) -> dict[Measure, Tensor]:
    """Return label-free measures with one value per class, (C,) each."""
    zero_shot, count = subject.zero_shot.zero_shot_labels, len(subject.class_names)
    unchanged = (subject.adapted_labels == zero_shot).double()
    measured = {
        CLASS_IMAGES: zero_shot.bincount(minlength=count).double(),
        CLASS_CONFIDENCE: class_means(seen.confidence, zero_shot, count),
        CLASS_PURITY: class_means(purity(zero_shot, near), zero_shot[near.queries], count),
        CLASS_LABELS_KEPT: class_means(unchanged, zero_shot, count),
    }
    for name in subject.texts.answered:
        measure = CLASS_NAMED.of(f"class.description.{name}", name)
        measured[measure] = class_means(subject.texts.named(name, zero_shot), zero_shot, count)
    return measured
