"""Compare measured numbers with published ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Literal

from pydantic import Field

from latte.evaluate.statistics import mean_interval
from latte.interfaces import Options
from latte.recipe.load import read_settings
from latte.report.comparison.rows import Row
from latte.results.summary import Run

Verdict = Literal["agrees", "unclear", "differs"]

LEAST_TOLERANCE = 0.01
"""Smallest tolerance, as a fraction: the texts of describers differ between runs."""
_DEVIATIONS = 2

_DIGITS = 6
"""Number of decimals to which fractions are rounded; papers print fewer decimals."""
Percentage = Annotated[float, Field(ge=0, le=100)]


class PublishedSettings(Options):
    """Content of a file of published numbers."""

    source: str = Field(description="where the numbers are from")
    note: str | None = Field(default=None, description="what one should know about them")
    averages: dict[str, Percentage] = Field(default={}, description="mean top-1 by method")
    rows: dict[str, dict[str, Percentage]] = Field(
        description="top-1 in percent by method and dataset, as in {latteclip: {eurosat: 80.27}}"
    )


@dataclass(frozen=True)
class Published:
    """Accuracies that a paper reports."""

    source: str
    note: str
    rows: Mapping[str, Mapping[str, float]]
    """Top-1 accuracy as a fraction, by method and dataset."""
    averages: Mapping[str, float] = field(default_factory=dict)
    """Mean top-1 over all datasets, by method, for methods without numbers per dataset."""


@dataclass(frozen=True)
class Own:
    """A measured top-1 accuracy: the mean over seeds, as a fraction."""

    mean: float
    reach: float | None
    """Half the width of the 95 % t-interval over seeds; None for a single seed."""
    seeds: int


@dataclass(frozen=True)
class Beside:
    """A measured accuracy beside the published accuracy, both as fractions."""

    row: str
    own: Own
    published: float | None
    tolerance: float

    @property
    def difference(self) -> float | None:
        """Measured minus published accuracy; None if there is no published number."""
        return None if self.published is None else self.own.mean - self.published

    @property
    def verdict(self) -> Verdict | None:
        """Agreement of measured and published accuracy; None without a published accuracy.

        `agrees`: the difference is within the tolerance. `unclear`: it exceeds the tolerance by at
        most half the width of the measured 95 % interval. `differs`: the excess is larger.
        """
        if self.difference is None:
            return None
        excess = abs(self.difference) - self.tolerance
        if excess <= 0:
            return "agrees"
        return "unclear" if excess <= (self.own.reach or 0.0) else "differs"


def read_published(path: Path) -> Published:
    """Read published numbers from a file, in which accuracies are percentages."""
    read = read_settings(path, PublishedSettings)
    rows = {method: _fractions(row) for method, row in read.rows.items()}
    return Published(read.source, read.note or "", rows, _fractions(read.averages))


def _fractions(percentages: Mapping[str, float]) -> dict[str, float]:
    return {name: round(number / 100, _DIGITS) for name, number in percentages.items()}


def match(row: Row, published: Published) -> tuple[str, float] | None:
    """Return the published method with the row's name, and its top-1 on the row's dataset.

    The row may also be named after method and dataset, as in `latteclip-eurosat`. Case is ignored,
    and `_` equals `-`. Returns None without a match.
    """
    dataset, name = _plain(row.data.name), _plain(row.method)
    names = (name, name.removesuffix(f"-{dataset}"), name.removeprefix(f"{dataset}-"))
    for candidate in names:
        for method, numbers in published.rows.items():
            for column, number in numbers.items():
                if _plain(method) == candidate and _plain(column) == dataset:
                    return method, number
    return None


def measured(runs: Sequence[Run]) -> Own | None:
    """Return the mean top-1 of runs with different seeds; None without labelled images."""
    values = [run.adapted.top1 for run in runs if run.adapted]
    if not values:
        return None
    if len(values) == 1:
        return Own(values[0], None, 1)
    interval = mean_interval(values)
    return Own(interval.value, (interval.high - interval.low) / 2, len(values))


def beside(row: str, dataset: str, own: Own, published: Published) -> Beside:
    """Pair the measured accuracy `own` with the published accuracy of this row and dataset."""
    number = published.rows.get(row, {}).get(dataset)
    return Beside(row, own, number, tolerance(dataset, published))


def tolerance(dataset: str, published: Published) -> float:
    """Return the largest difference, as a fraction, at which measured and published top-1 agree.

    Papers do not report how much results differ between seeds. The tolerance is therefore twice the
    standard deviation of the published methods' top-1 on `dataset`, but at least `LEAST_TOLERANCE`.
    """
    values = [row[dataset] for row in published.rows.values() if dataset in row]
    scatter = stdev(values) if len(values) > 1 else 0.0
    return max(LEAST_TOLERANCE, _DEVIATIONS * scatter)


def average(row: str, numbers: Sequence[tuple[str, Own]], published: Published) -> Beside:
    """Return a method's measured mean over datasets beside the published mean.

    `numbers` are pairs (dataset, measured accuracy). The interval and the tolerance of the mean
    assume that deviations on different datasets are independent.
    """
    names, own = zip(*numbers, strict=True)
    reaches = [one.reach for one in own if one.reach is not None]
    mean = Own(
        fmean(one.mean for one in own),
        _of_mean(reaches) if len(reaches) == len(own) else None,
        min(one.seeds for one in own),
    )
    allowed = _of_mean([tolerance(name, published) for name in names])
    known, everything = published.rows.get(row, {}), {*chain(*published.rows.values())}
    number = published.averages.get(row) if everything == {*names} else None
    if all(name in known for name in names):
        number = fmean(known[name] for name in names)
    return Beside(row, mean, number, allowed)


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")


def _of_mean(errors: Sequence[float]) -> float:
    return math.sqrt(sum(error**2 for error in errors)) / len(errors)
