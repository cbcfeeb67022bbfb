"""Show a comparison as plain text, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from latte.io.redaction import one_line
from latte.report.comparison.comparison import Comparison, dataset_titles, notes
from latte.report.comparison.rows import Result, Row
from latte.report.numbers import ABSENT, duration, mean_percent, mebibytes, published_percent
from latte.report.terminal import GAP, NARROWEST, indented, paragraph, width
from latte.report.terminal import table as lines_of_table

_NAME = "method"
_OPTIONAL = ("memory", "time")
"""Columns that are removed one by one, in this order, until names have enough room."""


@dataclass(frozen=True)
class _Line:
    """A table row for one classifier, with its names and figures.

    The first name is indented only if `below` is true; the other names always are.
    """

    digest: str
    names: tuple[str, ...]
    figures: dict[str, str]
    """Text of each figure by heading."""
    below: bool = False
    """True for a control, and for a candidate (the classifier that the guard judged)."""

    def cell(self, heading: str) -> RenderableType:
        """Return the cell below `heading`."""
        if heading != _NAME:
            return self.figures.get(heading, "")
        first, *details = self.names
        start = indented(first) if self.below else Text(one_line(first))
        return Group(start, *map(indented, details))

    def width(self, heading: str) -> int:
        """Return the width in terminal columns of the cell below `heading`, on one line."""
        if heading != _NAME:
            return cell_len(self.figures.get(heading, ""))
        return max(cell_len(one_line(name)) + GAP for name in self.names)


def table(comparison: Comparison) -> str:
    """Return the text of a comparison: a table per dataset, and the notes."""
    lines = [line for row in comparison.rows for line in _lines(row, comparison)]
    headings, left_out = _headings(lines)
    text: list[str] = []
    for digest, title in dataset_titles(comparison.rows).items():
        own = (line for line in lines if line.digest == digest)
        cells = [[line.cell(heading) for heading in headings] for line in own]
        text += [*([""] if text else []), *paragraph(title), *lines_of_table(headings, cells)]
    if left_out:
        text += [
            "",
            *paragraph(
                f"Left out of this narrow table: {', '.join(left_out)}; see --csv or --json."
            ),
        ]
    for note in notes(comparison):
        text += ["", *paragraph(note)]
    return "\n".join(text)


def _lines(row: Row, comparison: Comparison) -> Iterator[_Line]:
    """Yield a line each for the row's adapted classifier, its candidate and its controls."""
    verdict = [row.verdict] if comparison.has_verdicts else []
    figures = {
        "seeds": str(len(row.seeds)),
        "zero-shot": mean_percent(row.baseline, row.data.images),
        **_accuracy(row.adapted, row),
    }
    if comparison.published is not None:
        figures["published"] = published_percent(row.published)
    figures["time"] = duration(sum(row.seconds.values()))
    if any(one.peak_memory_mb is not None for one in comparison.rows):
        figures["memory"] = mebibytes(row.peak_memory_mb)
    yield _Line(row.data.digest, (row.method, *row.labels, *verdict), figures)
    for name, result in row.others.items():
        found = {"seeds": str(result.top1.runs), **_accuracy(result, row)}
        yield _Line(row.data.digest, (name,), found, below=True)


def _accuracy(result: Result | None, row: Row) -> dict[str, str]:
    images = row.data.images
    return {
        "adapted": mean_percent(result.top1 if result else None, images),
        "gain (95 % interval)": result.gain_text(images) if result else ABSENT,
    }


def _headings(lines: Sequence[_Line]) -> tuple[list[str], list[str]]:
    """Return the headings that fit the width, and those that are left out."""
    headings, left_out = [_NAME, *lines[0].figures], list[str]()

    def widest(heading: str) -> int:
        return max(cell_len(heading), *(line.width(heading) for line in lines))

    for heading in _OPTIONAL:
        room = width() - sum(widest(one) + GAP for one in headings[1:])
        if heading in headings and room < min(NARROWEST, widest(_NAME)):
            headings.remove(heading)
            left_out.append(heading)
    return headings, left_out
