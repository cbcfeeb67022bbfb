"""Summarise the rows of drawn folders in Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy
import torch
from latte_benchmarks.folder_cells import CELLS
from numpy.typing import NDArray

from benchmarks.folder_rows import Row
from benchmarks.measuring import table
from benchmarks.rank_correlation import correlation_text, separation

Gain = Literal["own", "unseen", "balanced"]
ABOUT: dict[Gain, str] = {
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
RESAMPLES = 2000


@dataclass(frozen=True)
class Share:
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


def summary(rows: Sequence[Row], methods: Sequence[str]) -> str:
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
            sections += [f"## Verdicts of `{method}`", *_verdict_parts(judged)]
    if len(sets) > 1:
        for model, name in sets:
            set_rows = [row for row in rows if (row.model, row.set) == (model, name)]
            sections += [f"## {name}, {model}, own images", gains_table(set_rows, methods, "own")]
    return "\n\n".join(sections) + "\n"


def gains_table(rows: Iterable[Row], methods: Sequence[str], gain: Gain) -> str:
    """Return a table with a row per cell and a column per method."""
    gains: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        gains.setdefault((row.cell, row.method), []).append(getattr(row, gain))
    cells = [cell.name for cell in CELLS if any(name == cell.name for name, _ in gains)]
    return table(
        ["cell", *methods],
        ([cell, *(_spread(gains.get((cell, name), [])) for name in methods)] for cell in cells),
    )


def losses_of_adapted(rows: Sequence[Row]) -> Share:
    """Count the adapted folders that lose on their own images."""
    return _share([row for row in rows if row.strength], _loses)


def missed_gains(rows: Sequence[Row]) -> Share:
    """Count folders that keep less than half of a large gain of the full candidate."""
    return _share(
        [row for row in rows if (row.full or 0) > LARGE_GAIN],
        lambda row: row.own < (row.full or 0) / 2,
    )


def separation_of_gains(rows: Sequence[Row], signal: str) -> tuple[float, float, float]:
    """Return how well a signal tells folders whose full candidate gains from others (AUROC).

    The second and third number are the 95 % interval by a bootstrap over sets.
    """
    values = torch.tensor([row.signals[signal] for row in rows])
    gained = torch.tensor([(row.full or 0) > 0 for row in rows])
    names = list(dict.fromkeys(row.set for row in rows))
    of_set = [torch.tensor([row.set == name for row in rows]).nonzero()[:, 0] for name in names]
    drawn = numpy.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    resamples = (torch.cat([of_set[place] for place in places]) for places in drawn)
    areas = [_area(values[chosen], gained[chosen]) for chosen in resamples]
    low, high = numpy.nanquantile(areas, [0.025, 0.975])
    return _area(values, gained), float(low), float(high)


def _area(values: torch.Tensor, gained: torch.Tensor) -> float:
    has_both = bool(gained.any()) and not bool(gained.all())
    return separation(values[gained], values[~gained]) if has_both else math.nan


def large_losses(rows: Iterable[Row]) -> int:
    """Count draws that lose more than five points and more than three own images."""
    return sum(row.own < -LARGE_LOSS_POINTS and row.lost_images > LARGE_LOSS_IMAGES for row in rows)


def _method_parts(rows: Sequence[Row], methods: Sequence[str]) -> Iterator[str]:
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
    foreign = {
        method: [row.foreign for row in own if row.foreign is not None]
        for method, own in rows_of.items()
    }
    if areas := [[method, f"{numpy.mean(of):.2f}"] for method, of in foreign.items() if of]:
        yield "Does the confidence tell images of no class from others? Area under the ROC curve:"
        yield table(["method", "area"], areas)


def _cell_means(rows: Sequence[Row]) -> dict[str, float]:
    """Return mean gains of cells; small folders and names that mean nothing are left out."""
    gains: dict[str, list[float]] = {}
    for row in rows:
        if row.images >= ENOUGH and row.cell in MEANINGFUL:
            gains.setdefault(row.cell, []).append(row.own)
    return {cell: float(numpy.mean(values)) for cell, values in gains.items()}


def _verdict_parts(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "- Adapted folders that lose accuracy (more than a point and at least "
        f"{LOSS_IMAGES} images): {losses_of_adapted(rows)}\n"
        f"- Large gains (more than {LARGE_GAIN:.0f} points at full strength) that are missed, "
        f"because less than half of them remained: {missed_gains(rows)}\n\n"
        "Intervals: bootstrap over data sets; none with a single set."
    )
    signals = list(dict.fromkeys(name for row in rows for name in row.signals))
    ranked = [(name, [row.signals.get(name, math.nan) for row in rows]) for name in signals]
    full = [_or_nan(row.full) for row in rows]
    yield "Rank correlation (Spearman) with the gain of the whole candidate on the own images:"
    yield table(
        ["signal", "rho"], ([name, correlation_text(values, full)] for name, values in ranked)
    )
    yield "Does a signal tell folders that gain from others? Area under the ROC curve:"
    yield table(["signal", "area", ""], [_separation_row(rows, name) for name in signals])


def _separation_row(rows: Sequence[Row], signal: str) -> list[str]:
    area, low, high = separation_of_gains([row for row in rows if signal in row.signals], signal)
    verdict = "no better than the base rate" if math.isnan(area) or low <= 0.5 <= high else ""
    return [signal, f"{area:.2f} (95 % interval {low:.2f} to {high:.2f})", verdict]


def _spread(gains: Sequence[float]) -> str:
    if not gains:
        return "–"
    losing = sum(gain < -LOSS_POINTS for gain in gains) / len(gains)
    return f"{numpy.mean(gains):+.1f} ({min(gains):+.1f}, {losing:.0%})"


def _loses(row: Row) -> bool:
    return row.own < -LOSS_POINTS and row.lost_images >= LOSS_IMAGES


def _share(rows: Sequence[Row], hit: Callable[[Row], bool]) -> Share:
    """Return the share; its bootstrap interval is over sets, because folders of a set are alike."""
    sets = list(dict.fromkeys(row.set for row in rows))
    folders, hits = (numpy.zeros(len(sets)) for _ in range(2))
    for row in rows:
        folders[sets.index(row.set)] += 1
        hits[sets.index(row.set)] += hit(row)
    low, high = _interval(hits, folders) if len(sets) > 1 else (math.nan, math.nan)
    return Share(int(hits.sum()), len(rows), low, high)


def _interval(hits: NDArray[numpy.float64], folders: NDArray[numpy.float64]) -> tuple[float, float]:
    drawn = numpy.random.default_rng(0).integers(len(hits), size=(RESAMPLES, len(hits)))
    shares = hits[drawn].sum(axis=1) / folders[drawn].sum(axis=1)
    low, high = numpy.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
