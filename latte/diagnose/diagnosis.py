"""One run, diagnosed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from latte.compare.run import Run
from latte.diagnose.descriptions import description_sections
from latte.diagnose.labelled import Labelled, measure_labelled
from latte.diagnose.labels import balance_measures, change_measures
from latte.diagnose.lead import lead_over_chance
from latte.diagnose.looking import Look, look
from latte.diagnose.measure import Measurement, Section, make_section
from latte.diagnose.neighbours import purity_measures
from latte.diagnose.prototypes import drift_measures, likeness_measures
from latte.diagnose.subject import Subject, zero_shot_classifier
from latte.diagnose.sureness import LEAD, sureness_measures
from latte.interfaces import Progress


@dataclass(frozen=True)
class Diagnosis:
    """All measures of one run."""

    run: Run
    training_images: int
    class_names: tuple[str, ...]
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
    """Measure one run."""
    looked = look(subject, progress)
    return Diagnosis(
        run=subject.run,
        training_images=len(subject.adapted_labels),
        class_names=subject.class_names,
        sections=(
            _frozen_section(subject, looked),
            *description_sections(subject.texts, subject.zero_shot.frozen_labels),
            _adapted_section(subject, looked),
            *_prototype_sections(subject),
        ),
        labelled=measure_labelled(subject, looked),
        leaking=subject.texts.leaking,
    )


def _frozen_section(subject: Subject, looked: Look) -> Section:
    labels = subject.zero_shot.frozen_labels
    return make_section(
        "frozen CLIP",
        "zero_shot",
        [
            *sureness_measures(looked.seen),
            _lead(subject),
            *purity_measures(labels, looked.queries, looked.neighbours),
            *balance_measures(labels, len(subject.class_names)),
            *likeness_measures(zero_shot_classifier(subject.zero_shot)),
        ],
    )


def _adapted_section(subject: Subject, looked: Look) -> Section:
    labels = subject.adapted_labels
    return make_section(
        "adapted labels",
        "adapted",
        [
            *change_measures(subject.zero_shot.frozen_labels, labels),
            *purity_measures(labels, looked.queries, looked.neighbours),
            *balance_measures(labels, len(subject.class_names)),
        ],
    )


def _prototype_sections(subject: Subject) -> Iterator[Section]:
    several = len(subject.prototypes) > 1
    for learner, classifier in subject.prototypes.items():
        yield make_section(
            f"prototypes of `{learner}`" if several else "prototypes",
            f"prototypes.{learner}",
            [
                *drift_measures(classifier, subject.zero_shot.class_features),
                *likeness_measures(classifier),
            ],
        )


def _lead(subject: Subject) -> Measurement:
    zero_shot = subject.zero_shot
    return Measurement(LEAD, lead_over_chance(zero_shot.training, zero_shot.class_features))
