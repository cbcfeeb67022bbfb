"""Summarise the rows of drawn folders in Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy
from latte_benchmarks.folder_cells import CELLS
from numpy.typing import NDArray

from benchmarks.folder_rows import FolderRow
from benchmarks.measuring import table

RESAMPLES = 2000
GainKind = Literal["own", "unseen", "balanced"]
ABOUT: dict[GainKind, str] = {
    "own": "own images",
    "unseen": "unseen images with the folder's mix of classes",
    "balanced": "unseen images, all classes equally frequent",
}
LARGE_LOSS_POINTS, LARGE_LOSS_IMAGES = 5.0, 3
"""A draw that loses more points and more images than these is a large loss."""
LOSS_POINTS, LOSS_IMAGES = 1.0, 2
"""A draw that loses more points, and at least this many images, is a loss."""
LARGE_GAIN = 3.0
"""Smallest gain in percentage points that counts as large."""
ENOUGH = 100
"""Smallest number of images of a folder that is included in a method's means."""
MEANINGFUL = {cell.name for cell in CELLS if cell.kind != "meaningless"}


@dataclass(frozen=True)
class FolderShare:
    """A number of folders, with the 95 % interval of its share of all folders."""

    hits: int
    folders: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Hits divided by folders; 0 without folders."""
        return self.hits / self.folders if self.folders else 0.0

    def __str__(self) -> str:
        if not self.folders:
            return "0 of 0"
        text = f"{self.hits} of {self.folders} ({self.rate:.1%}"
        ends = "" if math.isnan(self.low) else f", 95 % interval {self.low:.1%} to {self.high:.1%}"
        return f"{text}{ends})"


def summary(rows: Sequence[FolderRow], methods: Sequence[str]) -> str:
    """Return tables of all sets and of each set, a line per method, and the quality of verdicts."""
    sets = list(dict.fromkeys((row.model, row.set) for row in rows))
    sections = [
        "# Gains over zero-shot on folders as people have them",
        "Percentage points: mean over draws (worst draw, share of draws that lose more than a "
        f"point of accuracy). {len(sets)} sets, {len({row.key[:4] for row in rows})} folders.",
    ]
    for gain, about in ABOUT.items():
        sections += [f"## All sets, {about}", gains_table(rows, methods, gain)]
    sections += ["## Methods", *_method_parts(rows, methods)]
    for method in methods:
        judged = [row for row in rows if row.method == method and row.strength is not None]
        if judged:
            rivals = [name for name in methods if name != method]
            sections += [f"## Verdicts of `{method}`", *_verdict_parts(judged)]
            if rivals:
                sections.append(differences_table(rows, method, rivals))
    if len(sets) > 1:
        for model, name in sets:
            set_rows = [row for row in rows if (row.model, row.set) == (model, name)]
            sections += [f"## {name}, {model}, own images", gains_table(set_rows, methods, "own")]
    return "\n\n".join(sections) + "\n"


def gains_table(rows: Iterable[FolderRow], methods: Sequence[str], gain: GainKind) -> str:
    """Return a table with a row per cell and a column per method."""
    gains: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        gains.setdefault((row.cell, row.method), []).append(getattr(row, gain))
    cells = [cell.name for cell in CELLS if any(name == cell.name for name, _ in gains)]
    return table(
        ["cell", *methods],
        ([cell, *(_spread(gains.get((cell, name), [])) for name in methods)] for cell in cells),
    )


def losses_of_adapted(rows: Sequence[FolderRow]) -> FolderShare:
    """Count the adapted folders that lose on their own images."""
    return _share([row for row in rows if row.strength], _loses)


def missed_gains(rows: Sequence[FolderRow]) -> FolderShare:
    """Count folders that keep less than half of a large gain of the full candidate."""
    return _share(
        [row for row in rows if (row.full or 0) > LARGE_GAIN],
        lambda row: row.own < (row.full or 0) / 2,
    )


def differences_table(rows: Sequence[FolderRow], method: str, rivals: Sequence[str]) -> str:
    """Return a table of the mean gain of `method` minus that of each rival, on the own images.

    There is a row per cell, and one for all folders. Intervals are over sets.
    """
    gains = {(*row.key[:4], row.method): row.own for row in rows}
    folders = [row for row in rows if row.method == method]
    cells = [cell.name for cell in CELLS if any(row.cell == cell.name for row in folders)]

    def entry(cell: str | None, rival: str) -> str:
        pairs = [
            (row.set, row.own - gains[*row.key[:4], rival])
            for row in folders
            if row.cell == (cell or row.cell) and (*row.key[:4], rival) in gains
        ]
        return _mean_with_interval(pairs) if pairs else "–"

    return table(
        [f"`{method}` minus", *rivals],
        ([cell or "all", *(entry(cell, rival) for rival in rivals)] for cell in (*cells, None)),
    )


def _mean_with_interval(pairs: Sequence[tuple[str, float]]) -> str:
    """Return the mean of numbers of sets, and its interval by a bootstrap over sets."""
    names = list(dict.fromkeys(name for name, _ in pairs))
    counts, sums = (numpy.zeros(len(names)) for _ in range(2))
    for name, value in pairs:
        counts[names.index(name)] += 1
        sums[names.index(name)] += value
    text = f"{sums.sum() / counts.sum():+.1f}"
    if len(names) < 2:
        return text
    low, high = _interval(sums, counts)
    return f"{text} ({low:+.1f} to {high:+.1f})"


def large_losses(rows: Iterable[FolderRow]) -> int:
    """Count draws that lose more than five points and more than three own images."""
    return sum(row.own < -LARGE_LOSS_POINTS and row.lost_images > LARGE_LOSS_IMAGES for row in rows)


def _method_parts(rows: Sequence[FolderRow], methods: Sequence[str]) -> Iterator[str]:
    yield (
        "Own images. Mean and lowest are over the means of cells, and leave out draws with fewer "
        f"than {ENOUGH} images and names that mean nothing. A large loss is more than "
        f"{LARGE_LOSS_POINTS:.0f} points and more than {LARGE_LOSS_IMAGES} images, in any cell."
    )
    rows_of = {method: [row for row in rows if row.method == method] for method in methods}
    lines = []
    for method, method_rows in rows_of.items():
        if means := _cell_means(method_rows):
            lowest = min(means, key=lambda cell: means[cell])
            mean = numpy.mean([*means.values()])
            losses = f"{large_losses(method_rows)} of {len(method_rows)}"
            lines.append([method, f"{mean:+.1f}", f"{means[lowest]:+.1f} ({lowest})", losses])
    yield table(["method", "mean", "lowest cell", "large losses"], lines)
    lines = []
    for method, method_rows in rows_of.items():
        columns = [
            [row.foreign for row in method_rows if row.foreign is not None],
            [row.none for row in method_rows if row.none is not None],
            [row.called_none for row in method_rows if row.called_none is not None],
        ]
        if columns[0]:
            lines.append(
                [method, *(f"{numpy.mean(column):.2f}" if column else "–" for column in columns)]
            )
    if lines:
        yield (
            "Do the confidence and the probability of none tell images of no class from others "
            "(area under the ROC curve)? And what share of the images that show a name has a "
            "probability of none above a half, in all folders?"
        )
        yield table(["method", "confidence", "none", "called none"], lines)


def _cell_means(rows: Sequence[FolderRow]) -> dict[str, float]:
    """Return mean gains of cells; small folders and names that mean nothing are left out."""
    gains: dict[str, list[float]] = {}
    for row in rows:
        if row.images >= ENOUGH and row.cell in MEANINGFUL:
            gains.setdefault(row.cell, []).append(row.own)
    return {cell: float(numpy.mean(values)) for cell, values in gains.items()}


def _verdict_parts(rows: Sequence[FolderRow]) -> Iterator[str]:
    yield (
        "- Adapted folders that lose accuracy (more than a point and at least "
        f"{LOSS_IMAGES} images): {losses_of_adapted(rows)}\n"
        f"- Large gains (more than {LARGE_GAIN:.0f} points at full strength) that are missed, "
        f"because less than half of them remained: {missed_gains(rows)}\n\n"
        "Intervals: bootstrap over data sets; none with a single set."
    )


def _spread(gains: Sequence[float]) -> str:
    if not gains:
        return "–"
    losing = sum(gain < -LOSS_POINTS for gain in gains) / len(gains)
    return f"{numpy.mean(gains):+.1f} ({min(gains):+.1f}, {losing:.0%})"


def _loses(row: FolderRow) -> bool:
    return row.own < -LOSS_POINTS and row.lost_images >= LOSS_IMAGES


def _share(rows: Sequence[FolderRow], hit: Callable[[FolderRow], bool]) -> FolderShare:
    """Return the share; its bootstrap interval is over sets, because folders of a set are alike."""
    sets = list(dict.fromkeys(row.set for row in rows))
    folders, hits = (numpy.zeros(len(sets)) for _ in range(2))
    for row in rows:
        folders[sets.index(row.set)] += 1
        hits[sets.index(row.set)] += hit(row)
    low, high = _interval(hits, folders) if len(sets) > 1 else (math.nan, math.nan)
    return FolderShare(int(hits.sum()), len(rows), low, high)


def _interval(hits: NDArray[numpy.float64], folders: NDArray[numpy.float64]) -> tuple[float, float]:
    drawn = numpy.random.default_rng(0).integers(len(hits), size=(RESAMPLES, len(hits)))
    shares = hits[drawn].sum(axis=1) / folders[drawn].sum(axis=1)
    low, high = numpy.quantile(shares, [0.025, 0.975])
    return float(low), float(high)
