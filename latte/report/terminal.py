"""Format tables and paragraphs as plain text that fits the terminal, at most 80 columns wide."""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterable, Sequence
from io import StringIO
from textwrap import fill

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from latte.io.redaction import on_terminal, one_line
from latte.report.numbers import MINUS, NARROW_SPACE

WIDTH = 80
"""Largest width of a line; narrower terminals and the variable COLUMNS reduce it."""
GAP = 2
"""Number of spaces between columns, and before indented text."""
NARROWEST = 16
"""Smallest column width in a table that is too wide for the terminal; longer words are broken."""


class SafeConsole(Console):
    """Console of the package `rich` that escapes control characters in printed text."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render like `rich`, but with control characters escaped."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(on_terminal(segment.text), segment.style)


def width() -> int:
    """Return the width in characters: the variable COLUMNS or the terminal's width, at most 80."""
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)


def plain(text: str) -> str:
    """Return `text` with ASCII hyphens and spaces in place of minus signs and narrow spaces."""
    return text.replace(MINUS, "-").replace(NARROW_SPACE, " ")


def paragraph(text: str) -> list[str]:
    """Return `text` wrapped into lines; only words that are wider than a line are broken.

    Example:
        >>> from latte.api.output import paragraph
        >>> paragraph("Several seeds: mean and deviation.")
        ['Several seeds: mean and deviation.']
    """
    return drawn(Text(one_line(plain(text))))


def in_lines(text: str) -> str:
    """Wrap `text` at spaces; following lines are indented, and long words are not broken."""
    return fill(
        text, width(), subsequent_indent=" " * GAP, break_on_hyphens=False, break_long_words=False
    )


def indented(text: str) -> RenderableType:
    """Return `text` with each line indented by `GAP` spaces, wrapped lines included."""
    return Padding(Text(one_line(plain(text))), (0, 0, 0, GAP))


def table(headings: Sequence[str], rows: Iterable[Sequence[RenderableType]]) -> list[str]:
    """Return the lines of a table with names in the first column, and numbers in other columns.

    Names are wrapped to the width that the columns of numbers leave; a name that starts with two
    spaces is indented on all its lines. A row may have fewer cells than the table has columns.

    Example:
        >>> from latte.api.output import table
        >>> table(["class", "images"], [["cat", "120"], ["  tabby", "7"]])
        ['class    images', 'cat         120', '  tabby       7']
    """
    return drawn(fitted(headings, rows, right=range(1, len(headings))))


def fitted(
    headings: Sequence[str],
    rows: Iterable[Sequence[RenderableType]],
    right: Container[int] = (),
    least: Sequence[int] = (),
) -> RenderableType:
    """Return a table without ruled lines that fits `width()` and is wrapped at spaces.

    If words or numbers are too wide for the columns, each row becomes a paragraph: the first cell,
    then one line per other cell. If all headings are empty, there is no header row. Columns with
    indices in `right` are right-aligned and not wrapped. `least` has the minimum widths of the
    first columns.
    """
    cells = [[_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    columns = [
        [Text(heading), *(row[index] for row in cells if index < len(row))]
        for index, heading in enumerate(headings)
    ]
    ranges = [_range(column, wraps=index not in right) for index, column in enumerate(columns)]
    room = width() - GAP * (len(headings) - 1)
    widths = [
        max(column_range.maximum, *least[index : index + 1], 1)
        for index, column_range in enumerate(ranges)
    ]
    while sum(widths) > room:
        reducible = [
            index
            for index, column_range in enumerate(ranges)
            if widths[index] > column_range.minimum
        ]
        if not reducible:
            return Group(*(_as_paragraph(headings, row) for row in cells))
        widths[max(reducible, key=lambda index: widths[index])] -= 1
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    grid.show_header = any(headings)
    for index, heading in enumerate(headings):
        justify = "right" if index in right else "left"
        grid.add_column(heading, overflow="fold", width=widths[index], justify=justify)  # type: ignore[arg-type]
    for row in cells:
        grid.add_row(*row)
    return grid


def _cell(text: str) -> RenderableType:
    """Return the text of a cell; if it starts with two spaces, wrapped lines are indented, too."""
    return indented(text) if text.startswith("  ") else Text(plain(text))


def _range(cells: Iterable[RenderableType], *, wraps: bool) -> Measurement:
    """Return the smallest width of a column, and the width at which no cell is wrapped."""
    console = _console(StringIO(), 10_000)
    cell_ranges = [Measurement.get(console, console.options, cell) for cell in cells]
    full = max(cell_range.maximum for cell_range in cell_ranges)
    longest_word = max(min(cell_range.minimum, NARROWEST) for cell_range in cell_ranges)
    return Measurement(longest_word if wraps else full, full)


def _as_paragraph(headings: Sequence[str], row: Sequence[RenderableType]) -> RenderableType:
    title, *cells = row
    lines = [
        Padding(Text(f"{heading}: " if heading else "") + cell, (0, 0, 0, 2 * GAP))
        for heading, cell in zip(headings[1:], cells, strict=False)
        if isinstance(cell, Text) and cell
    ]
    return Group(title, *lines)


def drawn(content: RenderableType) -> list[str]:
    """Return `content` as lines of plain text, without colours and styles."""
    file = StringIO()
    _console(file, width()).print(content)
    return [line.rstrip() for line in file.getvalue().removesuffix("\n").split("\n")]


def _console(file: StringIO, columns: int) -> Console:
    return Console(width=columns, file=file, color_system=None, force_terminal=False)
