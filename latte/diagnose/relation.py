"""Several runs side by side, and how each measure goes with the real gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from latte.diagnose.measure import Measure, Section
from latte.diagnose.ranks import Correlation, correlate


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
