"""Own numbers beside published ones, and whether they agree as far as these can be told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from latte.compare.published import Published
from latte.compare.run import Run
from latte.compare.statistics import mean_interval

Verdict = Literal["agrees", "unclear", "differs"]

LEAST_TOLERANCE = 0.01
"""Top-1, as a fraction: what other texts of the LMM and another run move a number by, at least."""
_DEVIATIONS = 2


@dataclass(frozen=True)
class Own:
    """A number of one's own."""

    mean: float
    reach: float | None
    """Half of its 95 % t-interval over seeds; None for a single seed."""
    seeds: int


@dataclass(frozen=True)
class Beside:
    """One number, ours and theirs, as fractions."""

    row: str
    own: Own
    published: float | None
    tolerance: float

    @property
    def difference(self) -> float | None:
        """Ours minus theirs."""
        return None if self.published is None else self.own.mean - self.published

    @property
    def verdict(self) -> Verdict | None:
        """Whether the numbers agree within the tolerance; unclear where our seeds leave it open."""
        if self.difference is None:
            return None
        excess = abs(self.difference) - self.tolerance
        if excess <= 0:
            return "agrees"
        return "unclear" if excess <= (self.own.reach or 0.0) else "differs"


def measured(runs: Sequence[Run]) -> Own | None:
    """The mean of finished runs, one a seed; None without labelled images."""
    values = [run.adapted.top1 for run in runs if run.adapted]
    if not values:
        return None
    if len(values) == 1:
        return Own(values[0], None, 1)
    interval = mean_interval(values)
    return Own(interval.value, (interval.high - interval.low) / 2, len(values))


def beside(row: str, dataset: str, own: Own, published: Published) -> Beside:
    """`own` beside what was published for this row and dataset."""
    number = published.rows.get(row, {}).get(dataset)
    return Beside(row, own, number, tolerance(dataset, published))


def tolerance(dataset: str, published: Published) -> float:
    """How far apart two runs of the same method may be on `dataset`.

    Nobody says how much seeds differ, so the scatter of the published variants stands in: they show
    no order, as noise does, and where they hide a real effect, this errs on the wide side. Twice
    their standard deviation, and `LEAST_TOLERANCE` at least.
    """
    values = [row[dataset] for row in published.rows.values() if dataset in row]
    scatter = stdev(values) if len(values) > 1 else 0.0
    return max(LEAST_TOLERANCE, _DEVIATIONS * scatter)


def average(row: str, numbers: Sequence[tuple[str, Own]], published: Published) -> Beside:
    """A row's mean over datasets, beside the published one over the same; errors independent."""
    names, own = [name for name, _ in numbers], [one for _, one in numbers]
    reaches = [one.reach for one in own if one.reach is not None]
    mean = Own(
        fmean(one.mean for one in own),
        _of_mean(reaches) if len(reaches) == len(own) else None,
        min(one.seeds for one in own),
    )
    allowed = _of_mean([tolerance(name, published) for name in names])
    return Beside(row, mean, _published_average(row, names, published), allowed)


def _published_average(row: str, datasets: Sequence[str], published: Published) -> float | None:
    numbers = published.rows.get(row, {})
    if all(name in numbers for name in datasets):
        return fmean(numbers[name] for name in datasets)
    everything = {name for columns in published.rows.values() for name in columns}
    return published.averages.get(row) if everything == {*datasets} else None


def _of_mean(errors: Iterable[float]) -> float:
    values = [*errors]
    return math.sqrt(sum(value**2 for value in values)) / len(values)
