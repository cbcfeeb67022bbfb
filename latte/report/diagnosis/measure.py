"""What a measure is: a name, a unit, how to read it, where it comes from, and its value."""

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
    """What is measured; the same in every run."""

    key: str
    """For programs, and what measures of several runs are matched by."""
    name: str
    unit: Unit
    reading: str
    """In plain words, what it is and what high or low values mean."""
    source: str = ""
    """The paper that it comes from, if there is one."""
    contains_gain: bool = False
    """Whether it goes with the real gain by its definition."""

    def of(self, part: str, label: str = "") -> Measure:
        """The same measure of a part, such as a description; `label` goes before its name."""
        name = f"{label}: {self.name}" if label else self.name
        return replace(self, key=f"{part}.{self.key}", name=name)


@dataclass(frozen=True)
class Measurement:
    """A measure's value in one run."""

    measure: Measure
    value: float
    """Not a number where there is nothing to measure, such as a margin with a single class."""
    chance: float | None = None
    """What labels without any relation would give on average, where that is not 0."""
    interval: Interval | None = None
    """With what 95 % certainty it is known, where that can be said."""

    def of(self, part: str) -> Measurement:
        """The same value as that of a part, such as a description."""
        return replace(self, measure=self.measure.of(part))


@dataclass(frozen=True)
class Section:
    """Measurements that belong together."""

    title: str
    measurements: tuple[Measurement, ...]


def make_section(title: str, part: str, measurements: Iterable[Measurement]) -> Section:
    """Measurements of one part of a run, whose keys then begin with `part`."""
    return Section(title, tuple(one.of(part) for one in measurements))
