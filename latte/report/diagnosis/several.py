"""Several runs side by side, and how each measure goes with the real gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latte.evaluate.rank_correlation import Correlation, correlate
from latte.interfaces import LatteError, Progress
from latte.registry.registry import Registry
from latte.report.diagnosis.diagnosis import Diagnosis, diagnose_run
from latte.report.diagnosis.measure import Measure, Section
from latte.report.diagnosis.subject import FrozenClips, read_subject
from latte.results.summary import read_runs


@dataclass(frozen=True)
class Aligned:
    """One measure in every run."""

    section: str
    measure: Measure
    values: tuple[float, ...]
    """By run; NaN for a run that does not have it."""


@dataclass(frozen=True)
class Relation:
    """One measure against the gain, over the runs that have it."""

    section: str
    measure: Measure
    lowest: float
    highest: float
    correlation: Correlation


@dataclass(frozen=True)
class Diagnoses:
    """At least one run."""

    runs: tuple[Diagnosis, ...]
    relations: tuple[Relation, ...]
    """Over the runs with labels: label-free measures first, then those that need labels. None for
    a single run, which has nothing to relate."""
    skipped: tuple[LatteError, ...]
    """Folders that are not among the runs, and why."""


def diagnose_runs(paths: Sequence[Path], registry: Registry, progress: Progress) -> Diagnoses:
    """Diagnose the finished runs in `paths`: run folders, or folders of them.

    Raises `LatteError` if no run is usable.
    """
    runs, skipped = read_runs(paths)
    clips = FrozenClips()
    found = []
    for run in runs:
        progress.say(f"diagnose {run.folder.name}")
        try:
            found.append(diagnose_run(read_subject(run, registry, progress, clips), progress))
        except LatteError as error:
            skipped.append(error)
    if not found:
        raise skipped[0] if len(skipped) == 1 else LatteError("\n".join(map(str, skipped)))
    return Diagnoses(tuple(found), tuple(relate(found)), tuple(skipped))


def relate(found: Sequence[Diagnosis]) -> list[Relation]:
    """Each measure against the gain, over the runs that have labels; none for a single run."""
    if len(found) == 1:
        return []
    labelled = [(one.all_sections, one.labelled.gain) for one in found if one.labelled]
    return relate_runs([sections for sections, _ in labelled], [gain for _, gain in labelled])


def align(runs: Sequence[Sequence[Section]]) -> list[Aligned]:
    """The measures of all runs, section by section, in the order in which they first occur."""
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
    """Each measure of `runs` against their gains.

    What contains the gain itself, and measures without any value, are left out.
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
