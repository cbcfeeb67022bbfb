"""One run, diagnosed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from latte.compare.run import Run
from latte.diagnose.descriptions import description_sections
from latte.diagnose.labelled import Labelled, measure_labelled
from latte.diagnose.labels import change_measure, usage_measure
from latte.diagnose.measure import Section, make_section
from latte.diagnose.neighbours import Neighbours, find_neighbours, purity_measure
from latte.diagnose.prototypes import closest_classes
from latte.diagnose.subject import Subject, zero_shot_classifier
from latte.diagnose.sureness import Sureness, sureness, sureness_measures
from latte.diagnose.verdict import verdict_section
from latte.interfaces import Progress, Verdict


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
    seen = sureness(zero_shot.training, classifier, subject.logit_scale)
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
            *description_sections(subject.texts, zero_shot.frozen_labels),
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
            change_measure(subject.zero_shot.frozen_labels, labels),
            usage_measure(labels, len(subject.class_names)),
            purity_measure(labels, near),
        ],
    )


def _prototype_sections(subject: Subject) -> Iterator[Section]:
    several = len(subject.prototypes) > 1
    for learner, classifier in subject.prototypes.items():
        title = f"prototypes of `{learner}`" if several else "prototypes"
        yield make_section(title, f"prototypes.{learner}", [closest_classes(classifier)])


def _frozen_section(subject: Subject, seen: Sureness, near: Neighbours) -> Section:
    labels = subject.zero_shot.frozen_labels
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
