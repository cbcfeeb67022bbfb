"""Correlations of measures with the gains of runs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from latte.interfaces import Interval
from latte.report.diagnosis.diagnosis import Diagnosis, align, relate
from latte.report.diagnosis.measures import Measure, Measurement, Section
from latte.results.summary import Data, Run, Score

SURE = Measure("sure", "sure", "share", "how sure")
FLAT = Measure("flat", "flat", "index", "always the same")
REAL = Measure("real", "real gain", "points", "the gain", contains_gain=True)


def section(title: str, **values: float) -> Section:
    known = {one.key: one for one in (SURE, FLAT, REAL)}
    return Section(
        title, title, tuple(Measurement(known[key], value) for key, value in values.items())
    )


def diagnosis(gain: float, *sections: Section) -> Diagnosis:
    """Make the diagnosis of a run with this gain."""
    run = Run(
        folder=Path("run"),
        method="x",
        seed=0,
        data=Data("folder", 10, ""),
        settings={},
        zero_shot=0.0,
        adapted=Score(gain, Interval(gain, gain, gain)),
        controls={},
        oracle=False,
        seconds={},
        peak_memory_mb=None,
    )
    return Diagnosis(run, 10, 2, sections, section("labelled", real=gain))


def test_runs_are_aligned_by_section_and_key() -> None:
    runs = [[section("a", sure=1.0)], [section("a", flat=0.5, sure=2.0), section("b", real=0.1)]]
    found = align(runs)
    assert [(row.section, row.key) for row in found] == [
        ("a", "a.sure"),
        ("a", "a.flat"),
        ("b", "b.real"),
    ]
    assert found[0].values == (1.0, 2.0)
    assert math.isnan(found[1].values[0])
    assert found[1].values[1] == 0.5


def test_five_runs_are_related_to_their_gains_but_never_to_what_contains_them() -> None:
    gains = [0.1, 0.2, 0.3, 0.4, 0.5]
    sure, flat = relate([diagnosis(gain, section("a", sure=-gain, flat=1.0)) for gain in gains])
    assert (sure.row.measure, flat.row.measure) == (SURE, FLAT)
    assert sure.correlation.rho == pytest.approx(-1.0)
    assert math.isnan(flat.correlation.rho)


def test_four_runs_have_no_correlation() -> None:
    gains = [0.1, 0.2, 0.3, 0.4]
    (found,) = relate([diagnosis(gain, section("a", sure=gain)) for gain in gains])
    assert found.correlation.pairs == 4
    assert math.isnan(found.correlation.rho)


def test_a_measure_without_any_value_is_left_out() -> None:
    assert relate([diagnosis(0.1, section("a", sure=math.nan))] * 5) == []
