"""Measures of a run: name, unit, meaning, source and value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from latte.interfaces import Interval

Unit = Literal["share", "points", "cosine", "index", "count"]
"""`share`: a fraction, shown in percent. `points`: a difference of fractions, shown in percentage
points. `cosine`: a cosine or a difference of cosines. `index`: a plain number, mostly from 0 to 1.
`count`: how many, not always a whole number."""


@dataclass(frozen=True)
class Measure:
    """A quantity that is measured in every run."""

    key: str
    """Name for programs, by which measures of several runs are matched."""
    name: str
    unit: Unit
    reading: str
    """Explanation of the measure, and of high or low values."""
    source: str = ""
    """The paper that proposed it, if there is one."""
    contains_gain: bool = False
    """Whether its definition contains the real gain."""

    def of(self, part: str, label: str = "") -> Measure:
        """Return the same measure of a part, such as a description; `label` precedes its name."""
        name = f"{label}: {self.name}" if label else self.name
        return replace(self, key=f"{part}.{self.key}", name=name)


@dataclass(frozen=True)
class Measurement:
    """A measure's value in one run."""

    measure: Measure
    value: float
    """NaN where there is nothing to measure, such as a margin with a single class."""
    chance: float | None = None
    """Mean value for unrelated labels, where that is not 0."""
    interval: Interval | None = None
    """The 95 % interval, where it is known."""

    def of(self, part: str) -> Measurement:
        """Return the same value of a part, such as a description."""
        return replace(self, measure=self.measure.of(part))


@dataclass(frozen=True)
class Section:
    """Measurements that belong together."""

    title: str
    measurements: tuple[Measurement, ...]


def make_section(title: str, part: str, measurements: Iterable[Measurement]) -> Section:
    """Return measurements of one part of a run, whose keys begin with `part`."""
    return Section(title, tuple(one.of(part) for one in measurements))
