"""What commands print: tables that fit 80 columns, lines, and JSON.

Names and texts come from strangers: no character of theirs commands the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from latte.io.redaction import json_on_terminal, on_terminal, redact

WIDTH = 80


class SafeConsole(Console):
    """Prints styles of its own, and nothing but printable characters of what it is given."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """See `Console`."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(on_terminal(segment.text), segment.style)


class SafeStream:
    """A stream that turns what a terminal would obey into U+FFFD."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`; returns its length."""
        self._stream.write(on_terminal(text.replace("\r\n", "\n")))
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        self._stream.flush()


def rows_stream() -> TextIO:
    """Where rows of data go: as they are to programs and files, and safely to a terminal."""
    return cast("TextIO", SafeStream(sys.stdout)) if sys.stdout.isatty() else sys.stdout


def echo(text: object, *, nl: bool = True, err: bool = False) -> None:
    """Print `text` to stdout, or to stderr, where no secret of the environment is told."""
    shown = redact(str(text)) if err else str(text)
    typer.echo(on_terminal(shown), nl=nl, err=err)


def results() -> Console:
    """Where results are printed: at most 80 columns, no markup, colour only on a terminal."""
    console = SafeConsole(markup=False, highlight=False, emoji=False)
    console.width = min(console.width, WIDTH)
    return console


def plain_table(*headers: str) -> Table:
    """A table without lines; the last column takes the space that is left."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def print_json(value: Any) -> None:
    """Print plain data as indented JSON; what a terminal would obey is escaped, as JSON can."""
    sys.stdout.write(json_on_terminal(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")
