"""Labels of the training images: how many adapting changed, and how many classes they use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.evaluate.similarities import agreement
from latte.interfaces import Classifier, Progress, Verdict
from latte.io.redaction import one_line
from latte.report.diagnosis.confidence import Confidence, confidence, sureness_measures
from latte.report.diagnosis.descriptions import description_sections
from latte.report.diagnosis.labelled import Labelled, measure_labelled
from latte.report.diagnosis.measure import Measure, Measurement, Section, make_section
from latte.report.diagnosis.neighbours import Neighbours, find_neighbours, purity_measure
from latte.report.diagnosis.subject import Subject, zero_shot_classifier
from latte.report.sentences import NO_GUARD, verdict_label
from latte.results.summary import Run

CHANGED = Measure(
    "labels_changed",
    "labels changed",
    "share",
    "training images whose class changed; 0: adapting changes nothing on them",
)
IN_USE = Measure(
    "classes_in_use",
    "classes in use",
    "share",
    "of the classes, those that label at least one training image; low: only some occur, or "
    "labels pile up in few of them",
)


def usage_measure(labels: Tensor, classes: int) -> Measurement:
    """The share of classes that some of N labels (N,) name."""
    return Measurement(IN_USE, int((labels.bincount() > 0).sum()) / classes)


def change_measure(frozen: Tensor, adapted: Tensor) -> Measurement:
    """The share of N > 0 images whose two labels (N,) differ."""
    return Measurement(CHANGED, 1 - agreement(frozen, adapted))


# Whether two classes of a classifier are alike.


_ROWS_A_BLOCK = 2048

CLOSEST = Measure(
    "closest_classes",
    "two closest classes",
    "cosine",
    "largest cosine between two classes; near 1: these two can hardly be told apart",
)


def closest_classes(classifier: Classifier) -> Measurement:
    """The largest cosine between prototypes of different classes; NaN with a single class."""
    if classifier.classes == 1:
        return Measurement(CLOSEST, math.nan)
    weights, owners = classifier.directions, classifier.owners
    largest = max(
        float((rows @ weights.T).where(own.unsqueeze(1) != owners, -torch.inf).max())
        for rows, own in zip(
            torch.split(weights, _ROWS_A_BLOCK), torch.split(owners, _ROWS_A_BLOCK), strict=True
        )
    )
    return Measurement(CLOSEST, largest)


# The verdict of a run's guard, as measures: a guard sees the adapted classifier, and no label.


PROBABILITY = Measure(
    "probability", "probability", "share", "that adapting helps on images like these"
)
STRENGTH = Measure(
    "strength",
    "strength",
    "share",
    "how much of the adapted classifier the run took; 0: it kept zero-shot",
)


def verdict_section(verdict: Verdict) -> Section:
    """Probability, strength, and the signals that they were read from."""
    probability = math.nan if verdict.probability is None else verdict.probability
    signals = [
        Measurement(Measure(f"signal.{name}", name, "index", "a signal of the guard"), value)
        for name, value in verdict.signals.items()
    ]
    measured = [Measurement(PROBABILITY, probability), Measurement(STRENGTH, verdict.strength)]
    return make_section("verdict of the guard", "verdict", [*measured, *signals])


def verdict_line(verdict: Verdict | None) -> str:
    """The outcome and its reason, in one line."""
    if verdict is None:
        return NO_GUARD
    return f"Verdict: {verdict_label(verdict)}: {one_line(verdict.reason)}."


# One run, diagnosed.


@dataclass(frozen=True)
class Diagnosis:
    """All measures of one run."""

    run: Run
    training_images: int
    class_names: tuple[str, ...]
    verdict: Verdict | None
    """None without a guard."""
    sections: tuple[Section, ...]
    """What no label was needed for."""
    labelled: Labelled | None
    leaking: frozenset[str]
    """Descriptions whose prompt tells the describer the frozen label."""

    @property
    def all_sections(self) -> tuple[Section, ...]:
        """Those that need labels too, at the end."""
        return (*self.sections, self.labelled.section) if self.labelled else self.sections


def diagnose_run(subject: Subject, progress: Progress) -> Diagnosis:
    """Measure one run: first what its guard saw, then its labels, then where it started from."""
    zero_shot = subject.zero_shot
    classifier = zero_shot_classifier(zero_shot)
    seen = confidence(zero_shot.training, classifier, subject.logit_scale)
    near = find_neighbours(zero_shot.training, subject.run.seed, progress)
    return Diagnosis(
        run=subject.run,
        training_images=len(subject.adapted_labels),
        class_names=subject.class_names,
        verdict=subject.verdict,
        sections=(
            *((verdict_section(subject.verdict),) if subject.verdict else ()),
            _adapted_section(subject, near),
            *_prototype_sections(subject),
            _frozen_section(subject, seen, near),
            *description_sections(subject.texts, zero_shot.zero_shot_labels),
        ),
        labelled=measure_labelled(subject, seen, near),
        leaking=subject.texts.leaking,
    )


def _adapted_section(subject: Subject, near: Neighbours) -> Section:
    labels = subject.adapted_labels
    return make_section(
        "adapted labels",
        "adapted",
        [
            change_measure(subject.zero_shot.zero_shot_labels, labels),
            usage_measure(labels, len(subject.class_names)),
            purity_measure(labels, near),
        ],
    )


def _prototype_sections(subject: Subject) -> Iterator[Section]:
    several = len(subject.prototypes) > 1
    for learner, classifier in subject.prototypes.items():
        title = f"prototypes of `{learner}`" if several else "prototypes"
        yield make_section(title, f"prototypes.{learner}", [closest_classes(classifier)])


def _frozen_section(subject: Subject, seen: Confidence, near: Neighbours) -> Section:
    labels = subject.zero_shot.zero_shot_labels
    return make_section(
        "frozen CLIP",
        "zero_shot",
        [
            usage_measure(labels, len(subject.class_names)),
            *sureness_measures(seen),
            purity_measure(labels, near),
            closest_classes(zero_shot_classifier(subject.zero_shot)),
        ],
    )
