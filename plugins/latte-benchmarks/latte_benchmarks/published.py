"""Published accuracies, and how far a measured accuracy may differ from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated

from pydantic import Field

from latte.api import Options
from latte.api.runs import read_settings
from latte_benchmarks.measured import EvaluatedDataset, plain_name
from latte_benchmarks.rows import ModelResult, ResultRow
from latte_benchmarks.statistics import mean_error, mean_gain_of_datasets, mean_spread

LEAST_TOLERANCE = 0.01
"""Smallest tolerance, as a fraction: the texts of describers differ between runs."""
_DEVIATIONS = 2

_DIGITS = 6
"""Number of decimals to which fractions are rounded; papers print fewer decimals."""
AVERAGE = "average"
"""Name in place of a dataset for averages over all datasets."""
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

    def accuracy(self, method: str, dataset: str) -> float | None:
        """Return the top-1 of a method on a dataset; None if it is not published.

        Upper and lower case count as equal, and so do `_` and `-`.
        """
        names = plain_name(method), plain_name(dataset)
        for name, numbers in self.rows.items():
            for column, number in numbers.items():
                if (plain_name(name), plain_name(column)) == names:
                    return number
        return None

    def average(self, method: str, datasets: Sequence[str]) -> float | None:
        """Return the mean top-1 of a method over `datasets`; None if a number is missing."""
        accuracies = [self.accuracy(method, dataset) for dataset in datasets]
        numbers = [number for number in accuracies if number is not None]
        if len(numbers) == len(datasets):
            return fmean(numbers)
        every_dataset = {*chain(*self.rows.values())}
        return self.averages.get(method) if {*datasets} == every_dataset else None


def read_published(path: Path) -> Published:
    """Read published numbers from a file, in which accuracies are percentages."""
    content = read_settings(path, PublishedSettings)
    rows = {method: _fractions(row) for method, row in content.rows.items()}
    return Published(content.source, content.note or "", rows, _fractions(content.averages))


def _fractions(percentages: Mapping[str, float]) -> dict[str, float]:
    return {name: round(number / 100, _DIGITS) for name, number in percentages.items()}


def beside(row: ResultRow, published: Published) -> ResultRow:
    """Return the row with the accuracy that is published for its method and dataset."""
    if not row.is_adapted:
        return row
    number = published.accuracy(row.method, row.dataset.name)
    return replace(row, published=number, tolerance=tolerance(row.dataset.name, published))


def tolerance(dataset: str, published: Published) -> float:
    """Return the largest difference, as a fraction, at which measured and published top-1 agree.

    Papers do not report how much results differ between seeds. The tolerance is therefore twice the
    standard deviation of the published methods' top-1 on `dataset`, but at least `LEAST_TOLERANCE`.
    """
    values = [row[dataset] for row in published.rows.values() if dataset in row]
    scatter = stdev(values) if len(values) > 1 else 0.0
    return max(LEAST_TOLERANCE, _DEVIATIONS * scatter)


def average_rows(rows: Sequence[ResultRow], published: Published | None) -> list[ResultRow]:
    """Return a row per method that was measured on every dataset, with averages over datasets.

    Intervals and tolerances assume that deviations on different datasets are independent. There are
    no averages of fewer than two datasets, or of different images of the same dataset.
    """
    adapted = [row for row in rows if row.is_adapted and row.result]
    datasets = dict.fromkeys(row.dataset for row in adapted)
    names = [dataset.name for dataset in datasets]
    if len(datasets) < 2 or len({*names}) < len(names):
        return []
    averages = []
    for name in dict.fromkeys(row.name for row in adapted):
        of_method = [row for row in adapted if row.name == name]
        if {row.dataset for row in of_method} == {*datasets}:
            averages.append(_average(of_method, published))
    return averages


def _average(rows: Sequence[ResultRow], published: Published | None) -> ResultRow:
    names = [row.dataset.name for row in rows]
    results = [row.result for row in rows if row.result]
    zero_shot = [row.zero_shot for row in rows if row.zero_shot]
    images = sum(row.images for row in rows)
    tolerances = [row.tolerance for row in rows if row.tolerance is not None]
    return replace(
        rows[0],
        dataset=EvaluatedDataset(AVERAGE, images, ""),
        images=images,
        runs=max((row.runs for row in rows), key=len),
        zero_shot=mean_spread(zero_shot),
        result=ModelResult(
            mean_spread([result.top1 for result in results]),
            mean_gain_of_datasets([result.gain for result in results]),
        ),
        published=published.average(rows[0].method, names) if published else None,
        tolerance=mean_error(tolerances) if tolerances else None,
    )
