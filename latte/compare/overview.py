"""Methods by datasets: the shortest answer to which one works where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latte.compare import cells
from latte.compare.comparison import dataset_titles
from latte.compare.rows import Row
from latte.report.numbers import points
from latte.report.plain import one_line


@dataclass(frozen=True)
class OverviewCell:
    """One method on one dataset."""

    top1: str
    gain: str
    best: bool
    """Whether no other method has a higher mean top-1 there."""


@dataclass(frozen=True)
class Overview:
    """A row for each method with its settings, a column for each dataset."""

    datasets: tuple[str, ...]
    rows: tuple[tuple[str, tuple[OverviewCell | None, ...]], ...]


def overview(rows: Sequence[Row]) -> Overview | None:
    """None where one dataset only has labels: the table of its runs says it all."""
    labelled = [row for row in rows if row.adapted]
    titles = dataset_titles(labelled)
    if len(titles) < 2:
        return None
    found = {(row.name, row.data.digest): row for row in labelled}
    best = {digest: _best(labelled, digest) for digest in titles}
    return Overview(
        tuple(titles.values()),
        tuple(
            (
                one_line(name),
                tuple(_cell(found.get((name, digest)), best[digest]) for digest in titles),
            )
            for name in dict.fromkeys(row.name for row in labelled)
        ),
    )


def _best(rows: Sequence[Row], digest: str) -> float:
    scores = [row.adapted.top1.mean for row in rows if row.data.digest == digest and row.adapted]
    return max(scores, default=1.0)


def _cell(row: Row | None, best: float) -> OverviewCell | None:
    if row is None or row.adapted is None:
        return None
    images = row.data.images
    return OverviewCell(
        cells.top1(row.adapted.top1, images),
        points(row.adapted.gain.value, images),
        row.adapted.top1.mean >= best,
    )
