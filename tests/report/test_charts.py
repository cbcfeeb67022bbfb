"""Charts: in their frame, to scale and escaped for any numbers and names."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from latte.interfaces import Interval
from latte.report.charts import (
    LONGEST,
    IntervalRow,
    MetricSeries,
    Reference,
    Sample,
    change_bar,
    count_bars,
    interval_chart,
    line_chart,
    percent_tick,
    plain_tick,
    points_tick,
    series,
)
from latte.report.svg import AxisScale
from tests.helpers.html_document import Element, parse
from tests.helpers.report_examples import steps
from tests.helpers.snapshots import assert_snapshot

finite = st.floats(-1e9, 1e9)


def svg(markup: Markup) -> Element:
    return parse(str(markup)).one("svg")


def numbers(element: Element, *names: str) -> list[float]:
    return [float(element.attributes[name]) for name in names]


def samples(*values: float) -> MetricSeries:
    points = (Sample(step, value, value, value) for step, value in enumerate(values, start=1))
    return MetricSeries(tuple(points), 1, 0)


@given(st.lists(finite, min_size=1, max_size=20))
def test_a_scale_shows_every_value_and_has_round_ticks(values: list[float]) -> None:
    scale = AxisScale.around(values, 0.0, 100.0)
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


def test_a_long_series_is_drawn_thin_with_a_band() -> None:
    long = svg(line_chart(series(steps(10_000), "step", "loss"), "loss", plain_tick))
    assert len(long.one("polyline").attributes["points"].split()) <= LONGEST
    assert len(list(long.all("polygon", "band"))) == 1
    short = svg(line_chart(series(steps(20), "step", "loss"), "loss", plain_tick))
    assert not list(short.all("polygon"))


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


def test_snapshot_of_charts() -> None:
    rows = [
        IntervalRow("zero-shot", Interval(0.50, 0.40, 0.60), "50 %", "zero-shot"),
        IntervalRow("adapted", Interval(0.62, 0.50, 0.70), "62 %", "adapted", (0.60, 0.64)),
    ]
    charts = {
        "intervals": interval_chart(rows, "accuracies", percent_tick),
        "gains": interval_chart(rows[1:], "gains", points_tick, reference=0.0),
        "a curve": line_chart(samples(0.2, 0.6), "top-1", percent_tick, Reference(0.3, "start")),
        "small values": line_chart(samples(2e-7, 1.5e-6, -3e-7), "rate", plain_tick),
        "large values": line_chart(samples(50_000.0, 200_000.0), "images", plain_tick),
        "a rise": change_bar(0.2, 0.8),
        "a fall": change_bar(0.8, 0.2),
        "counts": count_bars(25, 100, 100),
        "no counts": count_bars(0, 0, 0),
    }
    lines = [line for name, svg in charts.items() for line in (name, *svg.split("><"), "")]
    assert_snapshot("charts.txt", "\n".join(lines))


@given(finite, st.floats(1e-9, 1e9))
def test_every_tick_can_be_written(value: float, step: float) -> None:
    assert math.isfinite(float(plain_tick(value, step).replace("−", "-")))
