"""Bias and coverage of the gain that left-out answers measure.

Each set's training images give folders of at most 300 images, with series (each photo three times,
slightly changed) and without. A simulated person answers about random images, or about those that
latte asks about first. The model is taught, and taught again without a fifth of the answers, five
times; a series is in one fold. The true gain is that of the taught model over zero-shot CLIP on the
images of series without an answer. With `--wrong`, a share of the answers names another class;
with C classes, a true gain must then be measured as gain times 1 - share - share / (C - 1).

*Before* is the paired interval of all left-out answers of classes with two answers or more; *now*
is `latte.evaluate.answered_gain`. Its factor is the smallest whose intervals hold 95 % of the true
gains of each row; it is chosen on every second set and judged on the other sets, then the halves
are exchanged. With `--wrong`, it is latte's. Biases are means over sets, with their standard error
over sets.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import mean, stdev
from zlib import crc32

import torch
from latte_benchmarks.folder_cells import LabelledSet

from benchmarks.folder_sets import load_sets, positive, set_parser
from benchmarks.gain_draws import PLANS, Draw, draws, made_folder
from benchmarks.measuring import say, table
from latte.evaluate.answered_gain import WIDENING, answered_gain
from latte.evaluate.metrics import paired_gain_interval
from latte.interfaces import Interval

NUMBERS = (10, 30, 60, 100)
FACTORS = tuple(step / 20 for step in range(20, 41))
_PARTS = ("bias", "held", "width")
_HELD = 0.95
_ROUNDING = 1e-9
_LEAST = 6
"""Before, fewer answers did not measure a gain."""


@dataclass(frozen=True)
class GainCell:
    """Plan, number of answers, and True if photos come in series."""

    plan: str
    in_series: bool
    number: int

    def __str__(self) -> str:
        return f"{self.number} {self.plan}{', series' if self.in_series else ''}"


@dataclass(frozen=True)
class GainSample:
    """A draw of a set; with mistaken answers, its gain must be measured as less."""

    name: str
    plan: str
    draw: Draw
    wrong: float = 0.0

    @property
    def due(self) -> float:
        """The gain that answers with this share of mistakes must measure."""
        others = max(1, self.draw.classes - 1)
        return self.draw.gain * (1 - self.wrong - self.wrong / others)


Samples = Mapping[GainCell, Sequence[GainSample]]


@dataclass(frozen=True)
class Errors:
    """Errors of an estimate on some samples, as fractions."""

    by_set: Mapping[str, Sequence[float]]
    held: float
    """Share of the intervals that hold the due gain."""
    width: float
    draws: int

    @property
    def bias(self) -> float:
        """Mean over sets of the mean error."""
        return mean(map(mean, self.by_set.values()))

    @property
    def bias_error(self) -> float:
        """Standard error of the bias over sets."""
        means = [*map(mean, self.by_set.values())]
        return stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.inf

    @property
    def cells(self) -> list[str]:
        """Bias, coverage and width for a table, in points."""
        spread = math.sqrt(self.held * (1 - self.held) / self.draws)
        return [
            f"{100 * self.bias:+.1f} ± {100 * self.bias_error:.1f}",
            f"{100 * self.held:.0f} ± {100 * spread:.0f} %",
            f"{100 * self.width:.0f}",
        ]


def main(arguments: Sequence[str]) -> None:
    """Print bias, coverage and mean width by plan and number of answers."""
    parser = set_parser("gains", __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="plugin:tiny")
    parser.add_argument("--plan", action="append", choices=PLANS, help=f"default: {PLANS}")
    parser.add_argument("--answers", type=positive, nargs="+", default=NUMBERS)
    parser.add_argument("--draws", type=positive, default=2)
    parser.add_argument("--most", type=positive, default=300, help="images per folder")
    parser.add_argument("--wrong", type=float, default=0.0, help="share of wrong answers")
    options = parser.parse_args(arguments)
    torch.set_flush_denormal(True)  # tiny probabilities are slow to compute with
    try:
        print_samples(_samples(options))
    finally:
        torch.set_flush_denormal(False)


def _samples(options: argparse.Namespace) -> dict[GainCell, list[GainSample]]:
    """Return the samples of all sets, draws and plans."""
    sets = load_sets(options)
    samples: dict[GainCell, list[GainSample]] = {}
    for labelled, draw, in_series, plan in product(
        sets, range(options.draws), (False, True), options.plan or PLANS
    ):
        for cell, sample in measured(labelled, draw, GainCell(plan, in_series, 0), options):
            samples.setdefault(cell, []).append(sample)
    return samples


def measured(
    labelled: LabelledSet, draw: int, cell: GainCell, options: argparse.Namespace
) -> Iterator[tuple[GainCell, GainSample]]:
    """Yield the samples of one draw of a set by number of answers."""
    name, plan, in_series, wrong = labelled.name, cell.plan, cell.in_series, options.wrong
    seeds = (crc32(f"{name}{draw}{part}".encode()) for part in (in_series, f"{plan}{wrong}"))
    folder = made_folder(labelled, options.most, next(seeds), in_series=in_series)
    for found in draws(folder, plan, sorted(options.answers), next(seeds), wrong):
        number = int((found.given >= 0).sum())
        if bool(found.is_other.any()):
            yield GainCell(plan, in_series, number), GainSample(name, plan, found, wrong)


def print_samples(samples: Samples) -> None:
    """Print the factors that the halves choose, and a row for each cell and for all."""
    factors = judged(samples)
    chosen_factors = ", ".join(f"{factor:.2f}" for factor in sorted({*factors.values()}))
    everything = [sample for cell in samples.values() for sample in cell]
    everywhere = chosen(samples, [*factors])
    say(f"{len(everything)} draws of {len(factors)} sets; factors of the halves: {chosen_factors}")
    say(f"factor of all sets: {everywhere:.2f}; latte uses {WIDENING}", "")
    parts = [f"{part}, {when}" for when in ("before", "now") for part in _PARTS]
    rows = [_row(str(cell), samples[cell], factors) for cell in samples]
    rows.append(_row("all", everything, factors))
    say(table(["", "draws", "gain", "due", *parts], rows))


def _row(name: str, samples: Sequence[GainSample], factors: Mapping[str, float]) -> list[str]:
    before = errors(samples, lambda sample: estimate_before(sample.draw))
    now = errors(samples, lambda sample: estimate(sample.draw, factors[sample.name]))
    gains = (mean(sample.draw.gain for sample in samples), mean(sample.due for sample in samples))
    return [
        name,
        str(len(samples)),
        *(f"{100 * gain:+.1f}" for gain in gains),
        *(before.cells if before else ["–"] * len(_PARTS)),
        *(now.cells if now else ["–"] * len(_PARTS)),
    ]


def estimate_before(draw: Draw) -> Interval | None:
    """Return the paired interval of the answers of classes with two answers or more."""
    answered = draw.answered
    counts = answered.answers.bincount(minlength=draw.classes)
    gains = answered.gains[counts[answered.answers] > 1]
    if len(gains) < _LEAST:
        return None
    return paired_gain_interval(int((gains > 0).sum()), int((gains < 0).sum()), len(gains))


def estimate(draw: Draw, widening: float = WIDENING) -> Interval:
    """Return the gain on images of series without an answer."""
    return answered_gain(draw.answered, draw.others, widening)


def errors(
    samples: Sequence[GainSample], estimate_of: Callable[[GainSample], Interval | None]
) -> Errors | None:
    """Return the errors of an estimate; None if it measures none of the samples."""
    pairs = [
        (sample, interval)
        for sample in samples
        for interval in [estimate_of(sample)]
        if interval is not None
    ]
    if not pairs:
        return None
    by_set: dict[str, list[float]] = {}
    for sample, interval in pairs:
        by_set.setdefault(sample.name, []).append(interval.value - sample.due)
    held = mean(holds(interval, sample.due) for sample, interval in pairs)
    width = mean(interval.high - interval.low for _, interval in pairs)
    return Errors(by_set, held, width, len(pairs))


def holds(interval: Interval, value: float) -> bool:
    """Return True if the value is in the interval, except for rounding."""
    return interval.low - _ROUNDING <= value <= interval.high + _ROUNDING


def judged(samples: Samples) -> dict[str, float]:
    """Return, for each set, the factor that the other half of the sets chose."""
    everything = [sample for cell in samples.values() for sample in cell]
    names = sorted({sample.name for sample in everything})
    halves = names[::2], names[1::2]
    if any(sample.wrong for sample in everything):
        return dict.fromkeys(names, WIDENING)
    if not halves[1]:
        return dict.fromkeys(names, chosen(samples, names))
    factors = chosen(samples, halves[1]), chosen(samples, halves[0])
    return {name: factor for half, factor in zip(halves, factors, strict=True) for name in half}


def chosen(samples: Samples, names: Sequence[str]) -> float:
    """Return the smallest factor that holds 95 % of the gains of each cell on the sets `names`."""
    cells = [[sample for sample in cell if sample.name in names] for cell in samples.values()]

    def held(factor: float, cell: Sequence[GainSample]) -> float:
        return mean(holds(estimate(sample.draw, factor), sample.due) for sample in cell)

    def is_enough(factor: float) -> bool:
        return all(held(factor, cell) >= _HELD for cell in cells if cell)

    return next(filter(is_enough, FACTORS), FACTORS[-1])
