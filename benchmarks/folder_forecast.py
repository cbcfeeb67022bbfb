"""Judge forecasts that a folder gains, made from signals that need no labels.

Every forecast about a set is made from the other sets: neither its weights, nor the choice of its
signals, nor the limits of the words "likely better" have seen the set. Intervals are 95 %, by a
bootstrap over sets, because folders of a set are alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product

import numpy
import torch
from numpy.typing import NDArray

from benchmarks.auroc import separation
from benchmarks.folder_rows import FolderRow
from benchmarks.measuring import table

RESAMPLES = 2000
LIKELY_GAINED, LIKELY_LOST = 0.85, 0.05
"""Least share that gains, and largest that loses, of folders that are called "likely better"."""
CALIBRATED = 0.10
"""Largest distance between the mean forecast of a bin and the share that gained."""
_LEADS = (1.05, 1.1, 1.15, 1.2, 1.3, 1.5)
_IMAGES = (0, 50, 100, 200, 400)
_STRICT_GAINED, _STRICT_LOST = 0.9, 0.03
"""Shares that limits must reach on the sets that choose them, where they look too good."""
_FEWEST = 10
_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_STEPS = 12
_BAR = 20

Numbers = NDArray[numpy.float64]
Flags = NDArray[numpy.bool_]
Places = NDArray[numpy.int64]


@dataclass(frozen=True)
class Outcomes:
    """Signals of F folders, and what adapting them in full brings."""

    sets: Sequence[str]
    signals: Sequence[str]
    values: Numbers
    """(F, S): the signals."""
    gained: Flags
    """(F,): accuracy on the own images rises."""
    lost: Flags
    """(F,): accuracy falls by more than a point, and by two images or more."""
    words: Sequence[str]
    """The guard's verdicts."""

    @classmethod
    def of(cls, rows: Sequence[FolderRow], loses: Callable[[FolderRow], bool]) -> Outcomes:
        """Return the outcomes of judged rows; only signals that all rows have are used."""
        signals = [name for name in rows[0].signals if all(name in row.signals for row in rows)]
        return cls(
            [row.set for row in rows],
            signals,
            numpy.array([[row.signals[name] for name in signals] for row in rows], dtype=float),
            numpy.array([(row.full or 0.0) > 0 for row in rows]),
            numpy.array([loses(row) for row in rows]),
            [row.outcome or "" for row in rows],
        )

    def columns(self, signals: Sequence[str]) -> Numbers:
        """Return the values (F, K) of some signals."""
        return self.values[:, [self.signals.index(name) for name in signals]]

    @property
    def set_names(self) -> list[str]:
        """Names of the sets, each once."""
        return list(dict.fromkeys(self.sets))

    def of_set(self, name: str) -> Flags:
        """Return True (F,) for the folders of a set."""
        return numpy.array([name == set_name for set_name in self.sets])

    def interval(self, figure: Callable[[Places], float]) -> tuple[float, float]:
        """Return the 95 % interval of a figure of folders, if whole sets are drawn at random."""
        places = [numpy.flatnonzero(self.of_set(name)) for name in self.set_names]
        if len(places) < 2:
            return math.nan, math.nan
        drawn = numpy.random.default_rng(0).integers(len(places), size=(RESAMPLES, len(places)))
        figures = [figure(numpy.concatenate([places[place] for place in line])) for line in drawn]
        finite = [value for value in figures if math.isfinite(value)] or [math.nan]
        low, high = numpy.quantile(finite, [0.025, 0.975])
        return float(low), float(high)

    def share(self, flags: Flags, is_chosen: Flags) -> str:
        """Return the share of the folders `is_chosen` (F,) with a flag (F,), and its interval."""

        def of_rows(rows: Places) -> float:
            of_chosen = flags[rows][is_chosen[rows]]
            return float(of_chosen.mean()) if len(of_chosen) else math.nan

        low, high = self.interval(of_rows)
        ends = "" if math.isnan(low) else f" ({low:.0%} to {high:.0%})"
        return f"{flags[is_chosen].mean():.0%}{ends}"


@dataclass(frozen=True)
class Forecasts:
    """Forecasts about left-out sets."""

    gained: Numbers
    """(F,): probability that the folder gains."""
    base: Numbers
    """(F,): the share of the other sets' folders that gain, the same for all folders of a set."""


def forecast_parts(outcomes: Outcomes) -> Iterator[str]:
    """Yield parts of the summary: the guard's words, signals alone, and chosen signals."""
    sets = len(outcomes.set_names)
    yield (
        "What the verdicts mean, for the whole candidate on the own images (intervals: bootstrap "
        f"over {sets} sets):"
    )
    yield words_table(outcomes)
    if sets < 3 or outcomes.gained.all() or not outcomes.gained.any():
        return
    if "lead" in outcomes.signals and "images" in outcomes.signals:
        yield likely_sentence(outcomes, left_out_likely(outcomes))
    yield (
        "Forecasts that the candidate gains, by logistic regressions that are fitted to the other "
        "sets. A Brier score is a mean squared error, so less is better; the base rate is the "
        "other sets' share of folders that gain."
    )
    alone = [[name] for name in outcomes.signals]
    chosen_forecasts = left_out(outcomes, [*alone, *map(list, combinations(outcomes.signals, 2))])
    lines = [_judged(name, outcomes, left_out(outcomes, [[name]])) for name in outcomes.signals]
    lines.append(
        _judged("one or two of them, chosen on the other sets", outcomes, chosen_forecasts)
    )
    yield table(["signal", "AUC", "Brier score minus that of the base rate", ""], lines)
    yield "Reliability of the forecast by chosen signals:"
    yield reliability_table(outcomes, chosen_forecasts)


def words_table(outcomes: Outcomes) -> str:
    """Return a row per verdict in words: how many folders gained, and how many lost."""
    lines = []
    for words in dict.fromkeys(outcomes.words):
        has_words = numpy.array([words == outcome for outcome in outcomes.words])
        shares = [outcomes.share(flags, has_words) for flags in (outcomes.gained, outcomes.lost)]
        lines.append([words, str(has_words.sum()), *shares])
    return table(["verdict", "folders", "gained", "lost"], lines)


def left_out_likely(outcomes: Outcomes) -> Flags:
    """Return which folders (F,) are called "likely better" by limits that other sets choose.

    The limits of the lead and of the number of images are those that call most folders so, of
    which 90 % gain and 3 % lose at most.
    """
    lead, images = outcomes.columns(["lead", "images"]).T
    rules = [
        (lead >= least_lead) & (images >= least_images)
        for least_lead, least_images in product(_LEADS, _IMAGES)
    ]
    likely = numpy.zeros(len(lead), dtype=bool)
    for name in outcomes.set_names:
        hidden = outcomes.of_set(name)
        reached = [
            called
            for called in rules
            if (is_called := called & ~hidden).sum() >= _FEWEST
            and outcomes.gained[is_called].mean() >= _STRICT_GAINED
            and outcomes.lost[is_called].mean() <= _STRICT_LOST
        ]
        if reached:
            likely |= hidden & max(reached, key=lambda called: int((called & ~hidden).sum()))
    return likely


def likely_sentence(outcomes: Outcomes, likely: Flags) -> str:
    """Return whether left-out sets bear the words "likely better" out."""
    if not likely.any():
        return '"Likely better", by limits from the other sets: no folder.'
    gained, lost = outcomes.gained[likely].mean(), outcomes.lost[likely].mean()
    holds = gained >= LIKELY_GAINED and lost <= LIKELY_LOST
    return (
        f'"Likely better", by limits of lead and images from the other sets: {likely.sum()} of '
        f"{len(likely)} folders, of which {outcomes.share(outcomes.gained, likely)} gained and "
        f"{outcomes.share(outcomes.lost, likely)} lost. At least {LIKELY_GAINED:.0%} and at most "
        f"{LIKELY_LOST:.0%} are wanted: {'' if holds else 'not '}borne out."
    )


def left_out(outcomes: Outcomes, choices: Sequence[Sequence[str]]) -> Forecasts:
    """Return forecasts about each set, by the signals of `choices` that forecast the others best.

    How well signals forecast the others is measured by leaving each of the others out.
    """
    gained, base = numpy.zeros(len(outcomes.gained)), numpy.zeros(len(outcomes.gained))
    for name in outcomes.set_names:
        hidden = outcomes.of_set(name)
        signals = choices[0]
        if len(choices) > 1:
            signals = min(choices, key=lambda names: _inner_brier(outcomes, names, ~hidden))
        values = outcomes.columns(signals)
        gained[hidden] = _fitted(values[~hidden], outcomes.gained[~hidden])(values[hidden])
        base[hidden] = outcomes.gained[~hidden].mean()
    return Forecasts(gained, base)


def reliability_table(outcomes: Outcomes, forecasts: Forecasts) -> str:
    """Return a row per bin of forecasts; a bar shows the share of folders that gained."""
    bins = numpy.digitize(forecasts.gained, _EDGES[1:-1])
    lines = []
    for place, (low, high) in enumerate(pairwise(_EDGES)):
        is_in_bin = bins == place
        if not is_in_bin.any():
            continue
        forecast, share = forecasts.gained[is_in_bin].mean(), outcomes.gained[is_in_bin].mean()
        length = round(_BAR * share)
        distance = abs(forecast - share)
        lines.append(
            [
                f"{low:.1f} to {high:.1f}",
                str(is_in_bin.sum()),
                f"{forecast:.0%}",
                f"{'█' * length}{'░' * (_BAR - length)}",
                outcomes.share(outcomes.gained, is_in_bin),
                outcomes.share(outcomes.lost, is_in_bin),
                "" if distance <= CALIBRATED else f"{distance:.0%} off",
            ]
        )
    return table(["forecast", "folders", "mean", "", "gained", "lost", ""], lines)


def _judged(name: str, outcomes: Outcomes, forecasts: Forecasts) -> list[str]:
    errors = (forecasts.gained - outcomes.gained) ** 2 - (forecasts.base - outcomes.gained) ** 2
    low, high = outcomes.interval(lambda rows: float(errors[rows].mean()))

    def area(rows: Places) -> float:
        flags = torch.from_numpy(outcomes.gained[rows])
        values = torch.from_numpy(forecasts.gained[rows])
        has_both = bool(flags.any()) and not bool(flags.all())
        return separation(values[flags], values[~flags]) if has_both else math.nan

    ends = outcomes.interval(area)
    return [
        name,
        f"{area(numpy.arange(len(errors))):.2f} ({ends[0]:.2f} to {ends[1]:.2f})",
        f"{errors.mean():+.3f} ({low:+.3f} to {high:+.3f})",
        "" if high < 0 else "no better than the base rate",
    ]


def _inner_brier(outcomes: Outcomes, signals: Sequence[str], is_kept: Flags) -> float:
    """Return the Brier score of forecasts about each of the kept sets by the other kept sets."""
    values, total = outcomes.columns(signals), 0.0
    for name in outcomes.set_names:
        hidden = outcomes.of_set(name) & is_kept
        if hidden.any():
            seen = is_kept & ~hidden
            forecasts = _fitted(values[seen], outcomes.gained[seen])(values[hidden])
            total += float(((forecasts - outcomes.gained[hidden]) ** 2).sum())
    return total / float(is_kept.sum())


def _fitted(values: Numbers, gained: Flags) -> Callable[[Numbers], Numbers]:
    """Return a logistic regression on standardised signals (F, S), fitted by Newton's method.

    The weights have a standard normal prior. Signals count to three standard deviations, which
    bounds what an unusual folder can do.
    """
    middle, spread = values.mean(axis=0), values.std(axis=0) + 1e-12

    def inputs_of(rows: Numbers) -> Numbers:
        scaled = ((rows - middle) / spread).clip(-3, 3)
        return numpy.hstack([numpy.ones((len(rows), 1)), scaled])

    inputs, weights = inputs_of(values), numpy.zeros(values.shape[1] + 1)
    prior = numpy.diag([1e-6, *[1.0] * values.shape[1]])
    for _ in range(_STEPS):
        chances = 1 / (1 + numpy.exp(-inputs @ weights))
        slope = inputs.T @ (gained - chances) - prior @ weights
        curvature = (inputs * (chances * (1 - chances))[:, None]).T @ inputs + prior
        weights = weights + numpy.linalg.solve(curvature, slope)
    return lambda rows: 1 / (1 + numpy.exp(-inputs_of(rows) @ weights))
