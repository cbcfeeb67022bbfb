"""Alignment of the measures of several runs."""

from __future__ import annotations

import math

from latte.report.diagnosis.diagnosis import align
from latte.report.diagnosis.measures import Measure, Measurement, Section

SURE = Measure("sure", "sure", "share", "how sure")
FLAT = Measure("flat", "flat", "index", "always the same")
REAL = Measure("real", "real gain", "points", "the gain")


def section(title: str, **values: float) -> Section:
    known = {one.key: one for one in (SURE, FLAT, REAL)}
    return Section(
        title, title, tuple(Measurement(known[key], value) for key, value in values.items())
    )


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
