"""Calibrate the expected gain of the labeler `choices` on simulated runs: `questions --gains`.

A *case* is a run whose answers count, with its raw gain (`latte_questions.gain.raw_gain`) and the
gain in own accuracy, measured by the true classes. The constants are judged on each set of images
with those of the other sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import ClassVar

import numpy
from latte_benchmarks.folder_cells import Folder, FolderCell, LabelledSet, drawn_folders
from latte_questions.interview import Interview
from latte_questions.labeler import FEWEST_QUESTIONS
from torch import Tensor

from benchmarks.measuring import say, table, table_row
from benchmarks.question_arms import answered, fitted
from benchmarks.question_describer import MakeDescriber, SimulatedDescriber

_QUANTILES = (0.05, 0.95)
"""The interval contains nine of ten ratios of measured and raw gain."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class GainCase:
    """Raw and measured gain of one run, in points."""

    source: str
    """Set that the images come from; all its subsets are held back together."""
    raw: float
    gain: float

    @property
    def ratio(self) -> float:
        """Measured gain as a share of the raw gain."""
        return self.gain / self.raw


@dataclass(frozen=True)
class Constants:
    """The constants of `latte_questions.gain`."""

    share: float
    low: float
    high: float

    @classmethod
    def of(cls, cases: Sequence[GainCase]) -> Constants:
        """Return the constants of cases, in which each source has the same weight."""
        sources = [case.source for case in cases]
        weights = numpy.array([1 / sources.count(source) for source in sources])
        raw = numpy.array([case.raw for case in cases])
        gain = numpy.array([case.gain for case in cases])
        order = numpy.argsort(gain / raw, kind="stable")
        mass = weights[order].cumsum() / weights.sum()
        ends = [cases[order[int((mass < share).sum())]].ratio for share in _QUANTILES]
        return cls(float((weights * gain).sum() / (weights * raw).sum()), *ends)

    def contain(self, case: GainCase) -> bool:
        """Return True if the interval contains the measured gain."""
        return self.low - _ROUNDING <= case.ratio <= self.high + _ROUNDING

    def __str__(self) -> str:
        return f"{self.share:.2f} ({self.low:.2f} to {self.high:.2f})"


class RawInterview(Interview):
    """Interview that stores the raw gain of its answers."""

    gains: ClassVar[list[float]] = []
    """The raw gain of the last run, in points; empty if no answer counted."""

    def expected_gain(self, heard: Tensor | None) -> None:
        """Store the raw gain, also of budgets for which `choices` expects none."""
        if heard is not None and bool(heard.any()):
            self.gains.append(100 * self.raw_gain(heard))


def cases_of(
    full_set: LabelledSet,
    folder: Folder,
    rights: Sequence[float | None],
    shares: Sequence[float],
    seed: int,
    make: MakeDescriber = SimulatedDescriber,
) -> Iterator[GainCase | None]:
    """Yield a case for each p and each budget; None if the answers changed no label.

    A budget is a share of the images. Budgets that the labeler refuses are left out.
    """
    budgets = [int(2 * share * len(folder.own)) for share in shares]
    accuracy_before = fitted(folder).own
    for right in rights:
        describer = make(folder, right, seed)
        for budget in budgets:
            if budget < FEWEST_QUESTIONS:
                continue
            RawInterview.gains.clear()
            accuracy_after = answered(folder, describer, budget, interview=RawInterview).own
            raw = sum(RawInterview.gains)
            yield (
                GainCase(full_set.source, raw, accuracy_after - accuracy_before)
                if raw > 0
                else None
            )


def say_calibration(
    loaded: Sequence[LabelledSet],
    cells: Sequence[FolderCell],
    rights: Sequence[float | None],
    shares: Sequence[float],
    seeds: int,
    make: MakeDescriber = SimulatedDescriber,
) -> None:
    """Simulate all runs, and print the constants and how well they fit sets that were held back."""
    possible_cases = [
        case
        for cell in cells
        for full_set, folders in drawn_folders(loaded, cell, seeds)
        for seed, folder in enumerate(folders)
        for case in cases_of(full_set, folder, rights, shares, seed, make)
    ]
    cases = [case for case in possible_cases if case is not None]
    head = ("set", "runs", "raw", "gain", "constants of the other sets", "bias", "error", "inside")
    say(table(head))
    judged: list[tuple[GainCase, Constants]] = []
    for source in dict.fromkeys(case.source for case in cases):
        other_cases = [case for case in cases if case.source != source]
        if not other_cases:
            continue
        constants = Constants.of(other_cases)
        pairs = [(case, constants) for case in cases if case.source == source]
        say(table_row([source, *_judged(pairs, str(constants))]))
        judged += pairs
    if judged:
        say(table_row(["all", *_judged(judged, str(Constants.of(cases)))]))
    say(f"\n{len(possible_cases) - len(cases)} of {len(possible_cases)} runs changed no label")


def _judged(pairs: Sequence[tuple[GainCase, Constants]], constants: str) -> list[str]:
    """Return number, mean raw and measured gain, constants, bias, mean absolute error, coverage."""
    errors = [which.share * case.raw - case.gain for case, which in pairs]
    inside = mean(which.contain(case) for case, which in pairs)
    numbers = [mean(case.raw for case, _ in pairs), mean(case.gain for case, _ in pairs)]
    return [
        str(len(pairs)),
        *(f"{number:.1f}" for number in numbers),
        constants,
        f"{mean(errors):+.1f}",
        f"{mean(map(abs, errors)):.1f}",
        f"{100 * inside:.0f} %",
    ]
