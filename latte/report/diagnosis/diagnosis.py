"""Diagnose finished runs, and correlate each measure with the real gain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from latte.evaluate.rank_correlation import Correlation, correlate
from latte.interfaces import LatteError, Progress, Verdict
from latte.io.redaction import one_line
from latte.registry.registry import Registry
from latte.report.diagnosis.descriptions import description_sections
from latte.report.diagnosis.labelled import Labelled, measure_labelled
from latte.report.diagnosis.measures import (
    Confidence,
    Measure,
    Measurement,
    Neighbours,
    Section,
    change_measure,
    closest_classes,
    confidence,
    confidence_measures,
    find_neighbours,
    make_section,
    purity_measure,
    usage_measure,
)
from latte.report.diagnosis.subject import Subject, read_subject
from latte.report.sentences import NO_GUARD, verdict_label
from latte.results.summary import Run, read_runs
from latte.run.reopen import open_workspace
from latte.run.workspace import Workspace

PROBABILITY = Measure(
    "probability", "probability", "share", "that adapting helps on images like these"
)
STRENGTH = Measure(
    "strength",
    "strength",
    "share",
    "share of the adapted classifier in the run's classifier; 0: plain CLIP",
)


@dataclass(frozen=True)
class Diagnosis:
    """All measures of one run."""

    run: Run
    training_images: int
    class_names: tuple[str, ...]
    verdict: Verdict | None
    """The guard's verdict; None without a guard."""
    sections: tuple[Section, ...]
    """Measures that need no label."""
    labelled: Labelled | None
    leaking: frozenset[str]
    """Names of the descriptions whose prompt contains the zero-shot label."""

    @property
    def all_sections(self) -> tuple[Section, ...]:
        """All sections; the one that needs labels is last."""
        return (*self.sections, self.labelled.section) if self.labelled else self.sections


@dataclass(frozen=True)
class Aligned:
    """Values of one measure in several runs."""

    section: str
    measure: Measure
    values: tuple[float, ...]
    """One value per run; NaN for a run without this measure."""


@dataclass(frozen=True)
class Relation:
    """Correlation of one measure with the gain, over the runs that have both."""

    section: str
    measure: Measure
    lowest: float
    highest: float
    correlation: Correlation


@dataclass(frozen=True)
class Diagnoses:
    """Diagnoses of at least one run."""

    runs: tuple[Diagnosis, ...]
    relations: tuple[Relation, ...]
    """Correlations over the runs with labels, label-free measures first; empty for a single run."""
    skipped: tuple[LatteError, ...]
    """An error per folder that is left out of `runs`."""


def diagnose_runs(paths: Sequence[Path], registry: Registry, progress: Progress) -> Diagnoses:
    """Diagnose the finished runs in `paths`, which are run folders or folders of run folders.

    Raises `LatteError` if no run is usable.
    """
    runs, skipped = read_runs(paths)
    found, opened = [], list[Workspace]()
    for run in runs:
        progress.say(f"diagnose {run.folder.name}")
        try:
            workspace = open_workspace(run.folder, registry, progress)
            like = next(filter(workspace.shares_clip, opened), None)
            if like is None:
                opened.append(workspace)
            else:
                workspace.frozen_clip = like.frozen_clip
            found.append(diagnose_run(read_subject(run, workspace), progress))
        except LatteError as error:
            skipped.append(error)
    if not found:
        raise skipped[0] if len(skipped) == 1 else LatteError("\n".join(map(str, skipped)))
    return Diagnoses(tuple(found), tuple(relate(found)), tuple(skipped))


def diagnose_run(subject: Subject, progress: Progress) -> Diagnosis:
    """Return all measures of one run."""
    zero_shot = subject.zero_shot
    seen = confidence(zero_shot.training, zero_shot.classifier, subject.logit_scale)
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


def relate(found: Sequence[Diagnosis]) -> list[Relation]:
    """Correlate each measure with the gain, over runs with labels; empty for a single run."""
    if len(found) == 1:
        return []
    labelled = [(one.all_sections, one.labelled.gain) for one in found if one.labelled]
    return relate_runs([sections for sections, _ in labelled], [gain for _, gain in labelled])


def align(runs: Sequence[Sequence[Section]]) -> list[Aligned]:
    """Return each measure's values in all runs, by section, in the order of first occurrence."""
    found: dict[str, dict[str, tuple[Measure, list[float]]]] = {}
    for number, sections in enumerate(runs):
        for section in sections:
            rows = found.setdefault(section.title, {})
            for one in section.measurements:
                nothing = (one.measure, [math.nan] * len(runs))
                rows.setdefault(one.measure.key, nothing)[1][number] = one.value
    return [
        Aligned(title, measure, tuple(values))
        for title, rows in found.items()
        for measure, values in rows.values()
    ]


def relate_runs(runs: Sequence[Sequence[Section]], gains: Sequence[float]) -> list[Relation]:
    """Correlate each measure of `runs` with the gains of the runs.

    Measures that are computed from the gain, and measures without any value, are left out.
    """
    relations = []
    for row in align(runs):
        if row.measure.contains_gain:
            continue
        known = [value for value in row.values if math.isfinite(value)]
        if known:
            found = correlate(row.values, gains, interval=False)
            relations.append(Relation(row.section, row.measure, min(known), max(known), found))
    return relations


def verdict_section(verdict: Verdict) -> Section:
    """Return the section with a guard's probability, strength and signals."""
    probability = math.nan if verdict.probability is None else verdict.probability
    signals = [
        Measurement(Measure(f"signal.{name}", name, "index", "a signal of the guard"), value)
        for name, value in verdict.signals.items()
    ]
    measured = [Measurement(PROBABILITY, probability), Measurement(STRENGTH, verdict.strength)]
    return make_section("verdict of the guard", "verdict", [*measured, *signals])


def verdict_line(verdict: Verdict | None) -> str:
    """Return the verdict's outcome and reason in one line."""
    if verdict is None:
        return NO_GUARD
    return f"Verdict: {verdict_label(verdict)}: {one_line(verdict.reason)}."


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
            *confidence_measures(seen),
            purity_measure(labels, near),
            closest_classes(subject.zero_shot.classifier),
        ],
    )
