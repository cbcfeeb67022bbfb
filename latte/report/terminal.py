"""Format tables and paragraphs as plain text, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from latte.io.redaction import one_line
from latte.report.numbers import MINUS, NARROW_SPACE

WIDTH = 80
GAP = 2
"""Number of spaces between columns, and before indented text."""


def plain(text: str) -> str:
    """Return `text` with ASCII hyphens and spaces in place of minus signs and narrow spaces."""
    return text.replace(MINUS, "-").replace(NARROW_SPACE, " ")


def paragraph(text: str) -> list[str]:
    """Return `text` wrapped into lines; only words that are wider than a line are broken."""
    return drawn(Text(one_line(plain(text))))


def indented(text: str) -> RenderableType:
    """Return `text` indented by `GAP` spaces; if it is wrapped, each line is indented."""
    return Padding(Text(one_line(plain(text))), (0, 0, 0, GAP))


def table(headings: Sequence[str], rows: Iterable[Sequence[RenderableType]]) -> list[str]:
    """Return the lines of a table with names in the first column and numbers in the others.

    Names are wrapped to the width that the numbers leave. A row may have fewer cells than there
    are columns.
    """
    first, *others = headings
    made = empty_table()
    made.add_column(first, overflow="fold")
    for heading in others:
        made.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(plain(cell)) if isinstance(cell, str) else cell for cell in row))
    return drawn(made)


def empty_table(*, show_header: bool = True) -> Table:
    """Return a table without lines between cells, and without columns."""
    return Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=show_header)


def drawn(content: RenderableType) -> list[str]:
    """Return `content` as lines of plain text, without colours and styles."""
    file = StringIO()
    Console(width=WIDTH, file=file, color_system=None, force_terminal=False).print(content)
    return [line.rstrip() for line in file.getvalue().removesuffix("\n").split("\n")]
