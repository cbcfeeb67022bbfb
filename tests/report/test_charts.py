"""Charts draw what they are given, to scale, whatever the numbers are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from latte.interfaces import Interval
from latte.report.charts import (
    LONGEST,
    IntervalRow,
    Reference,
    Sample,
    Series,
    change_bar,
    count_bars,
    interval_chart,
    line_chart,
    percent_tick,
    plain_tick,
    points_tick,
    series,
)
from latte.report.svg import Scale
from tests.helpers.html_document import Element, parse
from tests.helpers.report_examples import steps

finite = st.floats(-1e9, 1e9)


def svg(markup: Markup) -> Element:
    return parse(str(markup)).one("svg")


def numbers(element: Element, *names: str) -> list[float]:
    return [float(element.attributes[name]) for name in names]


def samples(*values: float) -> Series:
    points = (Sample(step, value, value, value) for step, value in enumerate(values, start=1))
    return Series(tuple(points), 1, 0)


@given(st.lists(finite, min_size=1, max_size=20))
def test_a_scale_shows_every_value_and_has_round_ticks(values: list[float]) -> None:
    scale = Scale.around(values, 0.0, 100.0)
    assert all(-1e-6 <= scale(value) <= 100 + 1e-6 for value in values)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 11
    assert all(scale.low <= tick + 1e-9 * abs(tick) for tick in ticks)
    assert all(tick - 1e-9 * abs(tick) <= scale.high for tick in ticks)


@given(st.lists(finite, min_size=1, max_size=40))
def test_every_line_chart_stays_in_its_frame(values: list[float]) -> None:
    chart = svg(line_chart(samples(*values), "a figure", plain_tick, Reference(values[0], "start")))
    width, height = map(float, chart.attributes["viewbox"].split()[2:])
    for point in chart.one("polyline").attributes["points"].split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= width
        assert 0 <= y <= height


def test_a_higher_value_is_drawn_higher_and_a_later_one_to_the_right() -> None:
    chart = svg(line_chart(samples(0.2, 0.6), "a figure", percent_tick))
    first, second = (
        tuple(map(float, point.split(",")))
        for point in chart.one("polyline").attributes["points"].split()
    )
    assert first[0] < second[0]
    assert first[1] > second[1]


def test_a_long_series_is_drawn_thin_with_a_band() -> None:
    long = svg(line_chart(series(steps(10_000), "step", "loss"), "loss", plain_tick))
    assert len(long.one("polyline").attributes["points"].split()) <= LONGEST
    assert len(list(long.all("polygon", "band"))) == 1
    short = svg(line_chart(series(steps(20), "step", "loss"), "loss", plain_tick))
    assert not list(short.all("polygon"))


def test_an_interval_is_a_line_from_end_to_end_with_a_dot_on_it() -> None:
    rows = [
        IntervalRow("zero-shot", Interval(0.50, 0.40, 0.60), "50 %", "zero-shot"),
        IntervalRow("adapted", Interval(0.60, 0.50, 0.70), "60 %", "adapted"),
    ]
    chart = svg(interval_chart(rows, "accuracies", percent_tick))
    (low, high), (other_low, _) = (
        numbers(line, "x1", "x2") for line in chart.all("line", "whisker")
    )
    (dot,), (other_dot,) = (numbers(circle, "cx") for circle in chart.all("circle"))
    assert dot == pytest.approx((low + high) / 2, abs=0.1)
    assert low < other_low
    assert other_dot == pytest.approx(high, abs=0.1)
    assert chart.attributes["aria-label"] == "accuracies"


def test_the_reference_is_on_the_scale_even_if_no_interval_reaches_it() -> None:
    rows = [IntervalRow("adapted", Interval(0.05, 0.04, 0.06), "+5", "adapted")]
    chart = svg(interval_chart(rows, "gain", points_tick, reference=0.0))
    (zero,) = numbers(chart.one("line", "reference"), "x1")
    assert 0 <= zero < min(numbers(chart.one("line", "whisker"), "x1"))


def test_texts_in_a_chart_are_escaped() -> None:
    rows = [IntervalRow("<script>&", Interval(0.5, 0.4, 0.6), "50 %", "control")]
    chart = svg(interval_chart(rows, '"><script>', percent_tick))
    assert not list(chart.all("script"))
    assert chart.one("text", "label").text.strip("\u2068\u2069") == "<script>&"


def test_small_bars_are_to_scale() -> None:
    frozen, adapted = (
        numbers(bar, "width")[0] for bar in svg(count_bars(25, 100, 100)).all("rect")
    )
    assert frozen * 4 == pytest.approx(adapted)
    assert {tuple(numbers(bar, "width")) for bar in svg(count_bars(0, 0, 0)).all("rect")} == {(0,)}
    rise, fall = svg(change_bar(0.2, 0.8)), svg(change_bar(0.8, 0.2))
    assert list(rise.all("circle", "up"))
    assert list(fall.all("circle", "down"))


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.0, 1e-7, "0"),
        (2e-7, 1e-7, "2e−7"),
        (1.5e-6, 5e-7, "1.5e−6"),
        (0.25, 0.05, "0.25"),
        (-3.0, 1.0, "−3"),
        (1200.0, 200.0, "1200"),
        (200_000.0, 50_000.0, "2.0e5"),
    ],
)
def test_ticks_have_the_digits_that_tell_them_apart(value: float, step: float, text: str) -> None:
    assert plain_tick(value, step) == text


def test_ticks_of_shares_and_points() -> None:
    assert percent_tick(0.65, 0.05) == "65\u202f%"
    assert percent_tick(0.655, 0.005) == "65.5\u202f%"
    assert [points_tick(value, 0.01) for value in (-0.01, 0.0, 0.02)] == ["−1", "0", "+2"]


@given(finite, st.floats(1e-9, 1e9))
def test_every_tick_can_be_written(value: float, step: float) -> None:
    assert math.isfinite(float(plain_tick(value, step).replace("−", "-")))
