"""The figures of a row as people read them."""

from __future__ import annotations

from latte.evaluate.statistics import Spread
from latte.report.comparison.rows import Result
from latte.report.numbers import bare_percent, points, points_range

ABSENT = "–"
SAME_FOR_ALL_SEEDS = "*"


def top1(spread: Spread | None, images: int) -> str:
    """`72.2 ± 0.4`, in percent; without the deviation for a single run."""
    if spread is None:
        return ABSENT
    mean = bare_percent(spread.mean, images)
    if spread.deviation is None:
        return mean
    return f"{mean} ± {bare_percent(spread.deviation, images)}"


def baseline(spread: Spread | None, images: int) -> str:
    """Zero-shot accuracy, which seeds do not change: with a deviation only if there is one."""
    if spread is not None and not spread.deviation:
        return bare_percent(spread.mean, images)
    return top1(spread, images)


def gain(result: Result | None, images: int) -> str:
    """`+4.7 (+4.1 to +5.4)`, in percentage points; marked where several seeds gain the same."""
    if result is None:
        return ABSENT
    mark = SAME_FOR_ALL_SEEDS if is_marked(result) else ""
    interval = points_range(result.gain, images)
    return f"{points(result.gain.value, images)} ({interval}){mark}"


def is_marked(result: Result) -> bool:
    """Whether several seeds gain the same, so that the interval is that of a single run."""
    return result.gain_over == "images" and result.top1.runs > 1


def published(fraction: float | None) -> str:
    """With the two digits that papers give."""
    return ABSENT if fraction is None else f"{100 * fraction:.2f}"


def memory(megabytes: float | None) -> str:
    """`812 MB`, `12.3 GB`."""
    if megabytes is None:
        return ABSENT
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
