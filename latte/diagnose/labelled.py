"""What the labels of the evaluation split add: the real gain, calibration, and classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latte.diagnose import classes
from latte.diagnose.accuracy import accuracy_measures
from latte.diagnose.calibration import calibration_measures
from latte.diagnose.classes import ClassRelation, class_means, recall_gains, relate_classes
from latte.diagnose.looking import Look
from latte.diagnose.measure import Measure, Section, make_section
from latte.diagnose.neighbours import purity
from latte.diagnose.prototypes import cosine_to_start
from latte.diagnose.subject import Subject, zero_shot_classifier
from latte.diagnose.sureness import sureness


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


def measure_labelled(subject: Subject, look: Look) -> Labelled | None:
    """None where the run has no labelled images."""
    if not subject.evaluations:
        return None
    by_name = {one.name: one for one in subject.evaluations}
    before, after = by_name["zero-shot"], by_name["adapted"]
    classifier = zero_shot_classifier(subject.zero_shot)
    tested = sureness(subject.test_features, classifier, subject.logit_scale)
    correct = tested.labels == subject.test_labels
    gains = recall_gains(before, after)
    return Labelled(
        test_images=after.images,
        section=make_section(
            "test images (needs labels)",
            "labelled",
            [*accuracy_measures(before, after), *calibration_measures(tested.confidence, correct)],
        ),
        gain=after.top1.value - before.top1.value,
        test_images_by_class=tuple(one.images for one in after.classes),
        class_gains=tuple(gains),
        relations=tuple(relate_classes(_by_class(subject, look), gains)),
    )


def _by_class(subject: Subject, look: Look) -> dict[Measure, Tensor]:
    """Label-free measures of each class: (C,) each."""
    zero_shot, count = subject.zero_shot, len(subject.class_names)
    frozen, queries = zero_shot.frozen_labels, look.queries
    kept = (subject.adapted_labels == frozen).double()
    pure = purity(frozen, queries, look.neighbours)
    measured = {
        classes.IMAGES: frozen.bincount(minlength=count).double(),
        classes.CONFIDENCE: class_means(look.seen.confidence, frozen, count),
        classes.PURITY: class_means(pure, frozen[queries], count),
        classes.KEPT: class_means(kept, frozen, count),
    }
    for name in subject.texts.answered:
        measure = classes.NAMED.of(f"class.description.{name}", name)
        measured[measure] = class_means(subject.texts.named(name, frozen), frozen, count)
    for learner, classifier in subject.prototypes.items():
        label = learner if len(subject.prototypes) > 1 else ""
        measure = classes.START.of(f"class.prototypes.{learner}", label)
        measured[measure] = cosine_to_start(classifier, zero_shot.class_features)
    return measured
