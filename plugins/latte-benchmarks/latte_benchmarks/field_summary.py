"""Summaries of the rows of `latte field`: a line per method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy

from latte.api import Interval
from latte_benchmarks.field_methods import ZERO_SHOT, About
from latte_benchmarks.field_rows import ANSWERS_PER_CLASS, BALANCED, CELLS, FieldRow

LOSS_POINTS, LOSS_IMAGES = 1.0, 2
"""A folder loses if accuracy falls by more than this, and by so many images."""
_ROUNDING = 1e-6
_RESAMPLES = 2000


@dataclass(frozen=True)
class Gains:
    """Gains of a method over several folders, in points."""

    mean: float
    worst: float
    losing: float
    """Share of folders that lose."""

    @classmethod
    def of(cls, rows: Sequence[FieldRow]) -> Gains | None:
        """Return the gains of rows on own images; None without rows."""
        if not rows:
            return None
        return cls(
            fmean(row.own for row in rows),
            min(row.own for row in rows),
            fmean(loses(row) for row in rows),
        )


@dataclass(frozen=True)
class MethodSummary:
    """Summary of a method."""

    about: About
    overall: Gains
    """Over all cells; the mean is that of the cells' means."""
    interval: Interval
    """Mean of the cells' means, as a fraction of 1, with its 95 % bootstrap interval over sets."""
    cells: tuple[Gains | None, ...]
    """In the order of `CELLS`."""
    unseen: float | None
    """Mean gain on unseen images of balanced folders."""
    taught: tuple[float, float] | None
    """Mean gains on other own images and on unseen images, with answers; None without answers."""
    seconds: float
    """Median of the balanced folders."""
    mebibytes: float | None


def loses(row: FieldRow) -> bool:
    """Return True if accuracy falls by more than a point and by at least two images."""
    return row.own < -LOSS_POINTS - _ROUNDING and -row.own * row.counted / 100 >= LOSS_IMAGES - 0.5


def lines_of(rows: Iterable[FieldRow], methods: Sequence[About]) -> list[MethodSummary]:
    """Return a line per method with rows, the highest mean gain first."""
    by_method: dict[str, list[FieldRow]] = {}
    for row in rows:
        by_method.setdefault(row.method, []).append(row)
    lines = [_line(about, by_method[about.name]) for about in methods if about.name in by_method]
    return sorted(lines, key=lambda line: -line.overall.mean)


def zero_shot_accuracies(rows: Sequence[FieldRow]) -> dict[str, float]:
    """Return the mean accuracy of zero-shot CLIP in percent, by cell."""
    zero_shot_rows = [row for row in rows if row.method == ZERO_SHOT and not row.answers]
    return {
        cell: fmean(row.zero_shot for row in zero_shot_rows if row.cell == cell)
        for cell in CELLS
        if any(row.cell == cell for row in zero_shot_rows)
    }


def _line(about: About, rows: Sequence[FieldRow]) -> MethodSummary:
    unanswered = [row for row in rows if not row.answers and row.counted]
    by_cell = {cell: [row for row in unanswered if row.cell == cell] for cell in CELLS}
    cells = tuple(Gains.of(by_cell[cell]) for cell in CELLS)
    mean = _mean_of_cells(unanswered)
    balanced = by_cell[BALANCED] or unanswered
    taught = [row for row in rows if row.answers == ANSWERS_PER_CLASS]
    memory = [row.mebibytes for row in rows if row.mebibytes is not None]
    return MethodSummary(
        about,
        Gains(mean, min(row.own for row in unanswered), fmean(loses(row) for row in unanswered)),
        _interval(unanswered, mean),
        cells,
        fmean(row.unseen for row in balanced),
        _taught(taught) if about.name != ZERO_SHOT else None,
        median(row.seconds for row in balanced),
        max(memory, default=None),
    )


def _taught(rows: Sequence[FieldRow]) -> tuple[float, float] | None:
    counted_rows = [row for row in rows if row.counted]
    if not counted_rows:
        return None
    return fmean(row.own for row in counted_rows), fmean(row.unseen for row in rows)


def _mean_of_cells(rows: Sequence[FieldRow]) -> float:
    gains: dict[str, list[float]] = {}
    for row in rows:
        gains.setdefault(row.cell, []).append(row.own)
    return fmean(fmean(values) for values in gains.values())


def _interval(rows: Sequence[FieldRow], mean: float) -> Interval:
    """Return the interval over sets, because the folders of a set are alike."""
    sets = [*dict.fromkeys(row.set for row in rows)]
    if len(sets) < 2:
        return Interval(mean / 100, mean / 100, mean / 100)
    cells = [*dict.fromkeys(row.cell for row in rows)]
    sums, counts = (numpy.zeros((len(sets), len(cells))) for _ in range(2))
    for row in rows:
        place = sets.index(row.set), cells.index(row.cell)
        sums[place] += row.own
        counts[place] += 1
    drawn = numpy.random.default_rng(0).integers(len(sets), size=(_RESAMPLES, len(sets)))
    resampled = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1).clip(min=1)
    low, high = numpy.quantile(resampled.mean(axis=1), [0.025, 0.975]) / 100
    return Interval(mean / 100, min(float(low), mean / 100), max(float(high), mean / 100))
