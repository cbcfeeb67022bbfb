"""The figures of a diagnosis as people read them in a terminal."""

from __future__ import annotations

import math

from latte.evaluate.rank_correlation import Correlation
from latte.report.diagnosis.measure import Measure, Measurement
from latte.report.numbers import MINUS, NARROW_SPACE, bare_percent, points

ABSENT = "–"


def value(measure: Measure, number: float, images: int) -> str:
    """`27.4 %`, `+1.2`, `0.213` or `12`; the digits of percentages are those of `images`."""
    if math.isnan(number):
        return ABSENT
    if measure.unit == "share":
        return f"{bare_percent(number, images)} %"
    if measure.unit == "points":
        return _plain(points(number, images))
    if measure.unit == "count":
        return f"{number:.0f}" if number.is_integer() else f"{number:.1f}"
    return f"{number:.3f}"


def certainty(one: Measurement, images: int) -> str:
    """What the measurement would be by chance, or how sure it is; empty where neither is known."""
    if one.chance is not None:
        return f"(by chance: {value(one.measure, one.chance, images)})"
    if one.interval is not None:
        low, high = (
            value(one.measure, end, images) for end in (one.interval.low, one.interval.high)
        )
        return f"(95 % interval: {low} to {high})"
    return ""


def rho(found: Correlation) -> str:
    """`+0.12 (-0.30 to +0.41)`, without the interval where there is none."""
    if math.isnan(found.rho):
        return ABSENT
    text = f"{found.rho:+.2f}"
    return text if math.isnan(found.low) else f"{text} ({found.low:+.2f} to {found.high:+.2f})"


def rho_by_chance(found: Correlation) -> str:
    """`0.29`."""
    return f"{found.by_chance:.2f}" if math.isfinite(found.by_chance) else ABSENT


def _plain(text: str) -> str:
    return text.replace(MINUS, "-").replace(NARROW_SPACE, " ")
