"""Published numbers, put beside measured ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from latte.evaluate.statistics import mean_interval
from latte.recipe.data_files import read_nodes
from latte.recipe.mistakes import Mistakes, suggestion
from latte.recipe.node import KeyPath, Node
from latte.report.comparison.rows import Row
from latte.results.summary import Run

_KEYS = ("source", "note", "averages", "rows")
_DIGITS = 6
"""Of a fraction: more than papers print, and no trace of the division by 100."""
_EXAMPLE = "As in: rows: {latteclip: {eurosat: 80.27}}"


@dataclass(frozen=True)
class Published:
    """What somebody reported, and where."""

    source: str
    note: str
    rows: Mapping[str, Mapping[str, float]]
    """Method -> dataset -> top-1 accuracy as a fraction."""
    averages: Mapping[str, float] = field(default_factory=dict)
    """Method -> mean over all datasets, of methods without numbers by dataset."""


def read_published(path: Path) -> Published:
    """The file's content; accuracies in it are percentages.

    Raises `LatteError` with every mistake and its line.
    """
    root, mistakes = read_nodes(path), Mistakes()
    for key, node in root.items():
        if key not in _KEYS:
            mistakes.add(node.origin, (key,), *_unknown(str(key)))
    source, note = _text(root, "source", mistakes), _text(root, "note", mistakes)
    rows = _rows(root, mistakes)
    averages = root.child("averages")
    means = _percentages(("averages",), averages, mistakes) if averages else {}
    mistakes.raise_if_any()
    return Published(source, note, rows, means)


def with_published(rows: Sequence[Row], published: Published) -> list[Row]:
    """`rows`, each with the number of its method and dataset where there is one.

    A recipe named after method and dataset, such as `latteclip-eurosat`, is found too. Case and
    `_` for `-` make no difference.
    """
    return [replace(row, published=_number(row, published)) for row in rows]


def unmatched(rows: Sequence[Row], published: Published) -> list[str]:
    """Published methods that no row is beside."""
    used = {_method_of(row, published) for row in rows}
    return [method for method in published.rows if method not in used]


def _unknown(key: str) -> tuple[str, str]:
    return f'there is no key "{key}"', suggestion(key, _KEYS, "Keys")


def _text(root: Node, key: str, mistakes: Mistakes) -> str:
    node = root.child(key)
    if node is None or node.value is None:
        if key == "source":
            mistakes.add_at(root, (key,), "the key is missing", "Say where the numbers are from.")
        return ""
    if not isinstance(node.value, str):
        mistakes.add(node.origin, (key,), "is not text")
    return str(node.value)


def _rows(root: Node, mistakes: Mistakes) -> dict[str, dict[str, float]]:
    rows = root.child("rows")
    if rows is None or not isinstance(rows.value, dict):
        mistakes.add_at(root, ("rows",), "there is no mapping of methods", _EXAMPLE)
        return {}
    return {
        str(method): _percentages(("rows", method), node, mistakes) for method, node in rows.items()
    }


def _percentages(path: KeyPath, row: Node, mistakes: Mistakes) -> dict[str, float]:
    """The fractions in the mapping `row`, which stands at `path`."""
    if not isinstance(row.value, dict):
        mistakes.add(row.origin, path, "is not a mapping of datasets", _EXAMPLE)
        return {}
    found = {}
    for name, node in row.items():
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            what = "is not a percentage from 0 to 100"
            mistakes.add(node.origin, (*path, name), what, _EXAMPLE)
        else:
            found[str(name)] = round(value / 100, _DIGITS)
    return found


def _number(row: Row, published: Published) -> float | None:
    method = _method_of(row, published)
    if method is None:
        return None
    return next(
        number
        for dataset, number in published.rows[method].items()
        if _plain(dataset) == _plain(row.data.name)
    )


def _method_of(row: Row, published: Published) -> str | None:
    """The published method that has this row's name and a number for its dataset."""
    dataset, name = _plain(row.data.name), _plain(row.method)
    names = (name, name.removesuffix(f"-{dataset}"), name.removeprefix(f"{dataset}-"))
    for candidate in names:
        for method, numbers in published.rows.items():
            if _plain(method) == candidate and dataset in map(_plain, numbers):
                return method
    return None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")


# Own numbers beside published ones, and whether they agree as far as these can be told apart.


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
