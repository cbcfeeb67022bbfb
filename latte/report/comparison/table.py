"""The table of a comparison, which the terminal, the LaTeX and the page show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from latte.report.comparison.comparison import Comparison, row_titles
from latte.report.comparison.rows import Result, Row
from latte.report.numbers import ABSENT, mean_percent, published_percent

_HEADINGS = ("method", "seeds", "zero-shot", "adapted", "gain (95 % interval)")


@dataclass(frozen=True)
class Line:
    """One line of the table: a row's adapted model, its candidate, or one of its controls."""

    name: str
    kind: Literal["adapted", "candidate", "control"]
    row: Row
    details: tuple[str, ...]
    """Settings that distinguish the row, and its verdict; empty for a candidate or control."""
    numbers: tuple[str, ...]
    """A text for each heading after the first."""


def headings(comparison: Comparison) -> list[str]:
    """Return the column headings of the comparison's table."""
    return [*_HEADINGS, *(["published"] if comparison.published else [])]


def table_lines(comparison: Comparison, digest: str) -> Iterator[Line]:
    """Yield the lines for one set of evaluation images.

    The line of a row comes before the lines of its candidate and control runs.
    """
    for row, title in zip(comparison.rows, row_titles(comparison.rows), strict=True):
        if row.data.digest != digest:
            continue
        images, published = row.data.images, comparison.published
        own = (str(len(row.seeds)), mean_percent(row.baseline, images))
        last = (published_percent(row.published),) if published else ()
        numbers = (*own, *_figures(row.adapted, images), *last)
        yield Line(title, "adapted", row, comparison.details(row), numbers)
        for name, one in row.others.items():
            kind: Literal["candidate", "control"]
            kind = "candidate" if one is row.candidate else "control"
            nothing = ("",) if published else ()
            numbers = (str(one.top1.runs), "", *_figures(one, images), *nothing)
            yield Line(name, kind, row, (), numbers)


def _figures(result: Result | None, images: int) -> tuple[str, str]:
    if result is None:
        return ABSENT, ABSENT
    return mean_percent(result.top1, images), result.gain_text(images)
