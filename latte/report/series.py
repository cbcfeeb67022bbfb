"""Curves out of the rows of `metrics.jsonl`, thinned to what a chart can show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

LONGEST = 240
"""More points than this do not fit a chart; a longer series is shown as means and ranges."""

_POSITIONS = ("step", "epoch")


@dataclass(frozen=True)
class Sample:
    """One figure of one step, or of several neighbouring ones: their mean and range."""

    step: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """A figure over steps."""

    samples: tuple[Sample, ...]
    """In the order of steps; at most `LONGEST`."""
    steps_a_sample: int
    unusable: int
    """Values that were infinite or not a number, and are left out."""


def figures(rows: Sequence[Row], event: str) -> list[str]:
    """The names of the numeric figures in the rows of an event, in the order they appear."""
    names = (
        name
        for row in rows
        if row.get("event") == event
        for name, value in row.items()
        if _is_number(value) and name not in _POSITIONS
    )
    return list(dict.fromkeys(names))


def series(rows: Sequence[Row], event: str, figure: str) -> Series:
    """A figure over steps. Of several rows for one step the last counts: training was resumed."""
    by_step = {
        float(row["step"]): float(row[figure])
        for row in rows
        if row.get("event") == event and _is_number(row.get("step")) and _is_number(row.get(figure))
    }
    usable = [(step, by_step[step]) for step in sorted(by_step) if math.isfinite(by_step[step])]
    size = math.ceil(len(usable) / LONGEST) or 1
    buckets = (usable[start : start + size] for start in range(0, len(usable), size))
    return Series(tuple(map(_sample, buckets)), size, len(by_step) - len(usable))


def _sample(bucket: Sequence[tuple[float, float]]) -> Sample:
    values = [value for _, value in bucket]
    middle = (bucket[0][0] + bucket[-1][0]) / 2
    return Sample(middle, sum(values) / len(values), min(values), max(values))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
