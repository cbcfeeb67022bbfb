"""Draw charts as inline SVG: values with intervals, curves over steps, small bars in tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from latte.interfaces import Interval
from latte.report.numbers import MINUS, NARROW_SPACE
from latte.report.svg import AxisScale, Drawing, shortened

MetricRow = Mapping[str, Any]
TickFormat = Callable[[float, float], str]
"""Function that returns a tick's label from its value and the distance between ticks."""

LONGEST = 240
"""Largest number of points of a curve; a longer series is drawn as means and ranges."""

_POSITIONS = ("step", "epoch")
_LONGEST_LABEL = 44
_FEW = 30
"""Largest number of points of a curve at which each point is marked by a dot."""
_CHART = (420, 230)
_FRAME = (58, 12, 12, 40)
"""Left, top, right and bottom margins of a line chart, in pixels."""


@dataclass(frozen=True)
class Sample:
    """One recorded number at one step, or its mean and range over several neighbouring steps."""

    step: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MetricSeries:
    """Values of one metric, such as the loss, in the order of training steps."""

    samples: tuple[Sample, ...]
    steps_per_sample: int
    unusable: int
    """Number of infinite or NaN values, which the samples do not include."""


@dataclass(frozen=True)
class IntervalRow:
    """One row of a chart of values with their 95 % intervals.

    Attributes:
        text: The value as it is printed in the chart.
        css_class: `adapted` or `control`, which have different colours.
        dots: The measurements from which the interval is computed, such as one per seed.

    Example:
        >>> from latte.api import Interval
        >>> from latte.api.output import IntervalRow
        >>> IntervalRow("demo", Interval(0.05, 0.02, 0.08), "+5.0", "adapted").label
        'demo'
    """

    label: str
    interval: Interval
    text: str
    css_class: str
    dots: tuple[float, ...] = ()


@dataclass(frozen=True)
class Reference:
    """A labelled horizontal line, such as zero-shot accuracy, to compare curves with."""

    value: float
    label: str


def figures(rows: Sequence[MetricRow], event: str) -> list[str]:
    """Return the names of all metrics in the rows of one event, `step` or `epoch`."""
    names = (
        name
        for row in rows
        if row.get("event") == event
        for name, value in row.items()
        if _is_number(value) and name not in _POSITIONS
    )
    return list(dict.fromkeys(names))


def series(rows: Sequence[MetricRow], event: str, figure: str) -> MetricSeries:
    """Return the metric `figure` over steps, from the rows of one event, `step` or `epoch`."""
    # After a resume, a step may have several rows: the last one counts.
    by_step = {
        float(row["step"]): float(row[figure])
        for row in rows
        if row.get("event") == event and _is_number(row.get("step")) and _is_number(row.get(figure))
    }
    usable = [(step, by_step[step]) for step in sorted(by_step) if math.isfinite(by_step[step])]
    size = math.ceil(len(usable) / LONGEST) or 1
    buckets = (usable[start : start + size] for start in range(0, len(usable), size))
    return MetricSeries(tuple(map(_sample, buckets)), size, len(by_step) - len(usable))


def interval_chart(
    rows: Sequence[IntervalRow], label: str, tick: TickFormat, reference: float | None = None
) -> Markup:
    """Draw a dot and a 95 % interval per row, and a vertical line at the value `reference`.

    Example:
        >>> from latte.api import Interval
        >>> from latte.api.output import IntervalRow, interval_chart, points_tick
        >>> row = IntervalRow("demo", Interval(0.05, 0.02, 0.08), "+5.0", "adapted")
        >>> interval_chart([row], "Gain over zero-shot", points_tick, reference=0.0)[:4]
        Markup('<svg')
    """
    width, row_height, bottom = 420, 44, 30
    height = len(rows) * row_height + bottom
    drawing = Drawing(width, height, label, "chart")
    ends = [end for row in rows for end in (row.interval.low, row.interval.high, *row.dots)]
    scale = AxisScale.around([*ends, *([] if reference is None else [reference])], 4, width - 4)
    ticks = scale.ticks()
    for value in ticks:
        x = scale(value)
        drawing.line((x, 0), (x, height - bottom), "grid")
        text = tick(value, _distance(ticks))
        drawing.text((x, height - bottom + 18), text, "tick", _anchor(x, scale))
    if reference is not None:
        drawing.line((scale(reference), 0), (scale(reference), height - bottom), "reference")
    for index, row in enumerate(rows):
        (low, high), top = (row.interval.low, row.interval.high), index * row_height
        y, kind = top + 30, row.css_class
        drawing.text((4, top + 16), shortened(row.label, _LONGEST_LABEL), "label")
        drawing.text((width - 4, top + 16), row.text, "value", "end")
        drawing.line((scale(low), y), (scale(high), y), f"whisker {kind}")
        drawing.circle((scale(row.interval.value), y), 5, f"dot {kind}")
        for value in row.dots:
            drawing.circle((scale(value), y), 2.5, "dot seed")
    return drawing.markup()


def line_chart(
    series: MetricSeries, label: str, tick: TickFormat, reference: Reference | None = None
) -> Markup:
    """Draw a metric over steps. A long series becomes means in a band from minimum to maximum."""
    samples = series.samples
    drawing, x, y = _framed(samples, label, tick, reference)
    if series.steps_per_sample > 1:
        upper = [(x(sample.step), y(sample.high)) for sample in samples]
        lower = [(x(sample.step), y(sample.low)) for sample in reversed(samples)]
        drawing.polyline(upper + lower, "band", "polygon")
    points = [(x(sample.step), y(sample.value)) for sample in samples]
    drawing.polyline(points, "curve")
    for point in points if len(points) <= _FEW else points[-1:]:
        drawing.circle(point, 3, "dot adapted")
    return drawing.markup()


def change_bar(zero_shot: float, adapted: float) -> Markup:
    """Draw a change of accuracy on a scale from 0 to 1."""
    drawing, scale = Drawing(160, 16, None, "change"), AxisScale(0, 1, 6, 154)
    drawing.line((6, 8), (154, 8), "rail")
    direction = "up" if adapted >= zero_shot else "down"
    drawing.line((scale(zero_shot), 8), (scale(adapted), 8), f"move {direction}")
    drawing.circle((scale(zero_shot), 8), 4, "dot zero-shot")
    drawing.circle((scale(adapted), 8), 4.5, f"dot {direction}")
    return drawing.markup()


def count_bars(zero_shot: int, adapted: int, largest: int) -> Markup:
    """Draw two counts as bars, one below the other, on a scale from 0 to `largest`."""
    drawing, scale = Drawing(160, 16, None, "change"), AxisScale(0, max(largest, 1), 0, 160)
    drawing.bar((0, 2), scale(zero_shot), 5, "bar zero-shot")
    drawing.bar((0, 9), scale(adapted), 5, "bar adapted")
    return drawing.markup()


def percent_tick(value: float, step: float) -> str:
    """Return a fraction as percent, such as 0.65 as `65 %`."""
    return f"{_fixed(100 * value, 100 * step)}{NARROW_SPACE}%"


def points_tick(value: float, step: float) -> str:
    """Return a difference of fractions in percentage points, such as 0.02 as `+2`.

    Example:
        >>> from latte.api.output import points_tick
        >>> points_tick(0.02, step=0.01)
        '+2'
    """
    text = _fixed(100 * value, 100 * step)
    return f"+{text}" if value > step / 2 else text


def plain_tick(value: float, step: float) -> str:
    """Return a value with enough digits to distinguish ticks, such as `0.25` or `2e6`."""
    if abs(value) < abs(step) / 1000:
        return "0"
    if abs(step) < 1e-3 or abs(value) >= 1e5:
        exponent = math.floor(math.log10(abs(value)) + 1e-9)
        mantissa = _fixed(value / 10.0**exponent, step / 10.0**exponent)
        return f"{mantissa}e{exponent}".replace("-", MINUS)
    return _fixed(value, step)


def _sample(bucket: Sequence[tuple[float, float]]) -> Sample:
    values = [value for _, value in bucket]
    middle = (bucket[0][0] + bucket[-1][0]) / 2
    return Sample(middle, sum(values) / len(values), min(values), max(values))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _anchor(x: float, scale: AxisScale) -> str:
    if x < scale.start + 20:
        return "start"
    return "end" if x > scale.end - 20 else "middle"


def _framed(
    samples: Sequence[Sample], label: str, tick: TickFormat, reference: Reference | None
) -> tuple[Drawing, AxisScale, AxisScale]:
    """Return a chart without curves, and the scales of its axes, which fit all samples."""
    (width, height), (left, top, right, bottom) = _CHART, _FRAME
    drawing = Drawing(width, height, label, "chart")
    steps = [sample.step for sample in samples]
    lowest, highest = min(steps), max(steps)
    x = AxisScale(lowest, highest, left, width - right)
    if lowest == highest:
        x = AxisScale.around(steps, left, width - right)
    ends = [end for sample in samples for end in (sample.low, sample.high)]
    extra = [] if reference is None else [reference.value]
    y = AxisScale.around([*ends, *extra], height - bottom, top)
    heights, steps = y.ticks(4), [step for step in x.ticks() if step == round(step)]
    for value in heights:
        drawing.line((x.start, y(value)), (x.end, y(value)), "grid")
        drawing.text((x.start - 8, y(value) + 4), tick(value, _distance(heights)), "tick", "end")
    drawing.line((x.start, y.start), (x.end, y.start), "axis")
    for step in steps:
        drawing.line((x(step), y.start), (x(step), y.start + 4), "axis")
        text = plain_tick(step, _distance(steps))
        drawing.text((x(step), y.start + 18), text, "tick", _anchor(x(step), x))
    drawing.text((x.end, y.start + 35), "step", "tick", "end")
    if reference is not None:
        level = y(reference.value)
        drawing.line((x.start, level), (x.end, level), "reference")
        beside = level - 6 if level > y.end + 20 else level + 16
        drawing.text((x.end, beside), reference.label, "tick", "end")
    return drawing, x, y


def _distance(ticks: Sequence[float]) -> float:
    return ticks[1] - ticks[0] if len(ticks) > 1 else 1.0


def _fixed(value: float, step: float) -> str:
    digits = max(0, math.ceil(-math.log10(step) - 1e-9))
    return f"{value:.{digits}f}".replace("-", MINUS)
