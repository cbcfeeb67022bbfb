"""Show a comparison as plain text, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from latte.report.comparison.comparison import Comparison, dataset_titles, notes, row_titles
from latte.report.comparison.rows import Result, Row
from latte.report.numbers import ABSENT, mean_percent, published_percent
from latte.report.terminal import indented, paragraph
from latte.report.terminal import table as lines_of_table

_HEADINGS = ("method", "seeds", "zero-shot", "adapted", "gain (95 % interval)")


def table(comparison: Comparison) -> str:
    """Return the text of a comparison: a table per dataset, and the notes.

    The text leaves out time and memory, because 80 columns are too few. The page, the CSV and the
    JSON contain both.
    """
    headings = [*_HEADINGS, *(["published"] if comparison.published else [])]
    text: list[str] = []
    titled = [*zip(comparison.rows, row_titles(comparison.rows), strict=True)]
    for digest, title in dataset_titles(comparison.rows).items():
        cells = [
            line
            for row, name in titled
            if row.data.digest == digest
            for line in _lines(row, name, comparison)
        ]
        text += [*([""] if text else []), *paragraph(title), *lines_of_table(headings, cells)]
    for note in notes(comparison):
        text += ["", *paragraph(note)]
    return "\n".join(text)


def _lines(row: Row, title: str, comparison: Comparison) -> Iterator[list[RenderableType]]:
    """Yield a line for the row's adapted model, one for its candidate, and one per control."""
    details = [*row.distinguishing, *([row.verdict] if comparison.has_verdicts else [])]
    yield [
        Group(Text(title), *map(indented, details)),
        str(len(row.seeds)),
        mean_percent(row.baseline, row.data.images),
        *_accuracy(row.adapted, row),
        *([published_percent(row.published)] if comparison.published else []),
    ]
    for name, result in row.others.items():
        yield [indented(name), str(result.top1.runs), "", *_accuracy(result, row)]


def _accuracy(result: Result | None, row: Row) -> tuple[str, str]:
    images = row.data.images
    if result is None:
        return ABSENT, ABSENT
    return mean_percent(result.top1, images), result.gain_text(images)
