"""Measures of a run, with name, unit, meaning, source and value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from latte.interfaces import Interval

Unit = Literal["share", "points", "cosine", "index", "count"]
"""`share`: a fraction, shown in percent. `points`: a difference of fractions, shown in percentage
points. `cosine`: a cosine or a difference of cosines. `index`: a plain number, mostly from 0 to 1.
`count`: a number of things, such as images; it may have decimals."""


@dataclass(frozen=True)
class Measure:
    """A quantity that is measured in every run."""

    key: str
    """Name for programs; measures of several runs are matched by this name."""
    name: str
    unit: Unit
    reading: str
    """Explanation of the measure, and of high or low values."""
    source: str = ""
    """The paper that proposed the measure; empty if there is none."""
    contains_gain: bool = False
    """True if the measure is computed from the real gain."""

    def of(self, part: str, label: str = "") -> Measure:
        """Return this measure for one part of a run, such as a description.

        `part` is put before the key, and `label` before the name.
        """
        name = f"{label}: {self.name}" if label else self.name
        return replace(self, key=f"{part}.{self.key}", name=name)


@dataclass(frozen=True)
class Measurement:
    """A measure's value in one run."""

    measure: Measure
    value: float
    """NaN if there is nothing to measure, such as the margin with a single class."""
    chance: float | None = None
    """Mean value for unrelated labels; None if it is 0 or has no meaning."""
    interval: Interval | None = None
    """The 95 % interval; None if unknown."""

    def of(self, part: str) -> Measurement:
        """Return this measurement for one part of a run, such as a description."""
        return replace(self, measure=self.measure.of(part))


@dataclass(frozen=True)
class Section:
    """Measurements of one part of a run, under a title."""

    title: str
    measurements: tuple[Measurement, ...]


def make_section(title: str, part: str, measurements: Iterable[Measurement]) -> Section:
    """Return a section of measurements, and put `part` before their keys."""
    return Section(title, tuple(one.of(part) for one in measurements))
