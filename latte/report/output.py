"""Print lines, tables and JSON with control characters escaped."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import typer
from rich.console import Console

from latte.interfaces import LatteError, RecipeErrors
from latte.io.redaction import json_on_terminal, on_terminal, redact
from latte.report.terminal import SafeConsole, width


class SafeStream:
    """Stream that replaces control characters by U+FFFD."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`; return its length."""
        self._stream.write(on_terminal(text.replace("\r\n", "\n")))
        return len(text)

    def flush(self) -> None:
        """Flush the underlying stream."""
        self._stream.flush()


def rows_stream() -> TextIO:
    """Return stdout for CSV or JSON rows; on a terminal, control characters are replaced."""
    return cast("TextIO", SafeStream(sys.stdout)) if sys.stdout.isatty() else sys.stdout


def echo(text: object, *, nl: bool = True, err: bool = False, bold: bool = False) -> None:
    """Print `text` with control characters escaped.

    If `err` is true, print to stderr and redact secrets. If `bold` is true, print in bold on a
    terminal that can.

    Example:
        >>> from latte.api.output import echo
        >>> echo("3 images")
        3 images
    """
    shown = redact(str(text)) if err else str(text)
    shown = on_terminal(shown)
    is_bold = bold and Console(stderr=err).color_system is not None
    typer.echo(typer.style(shown, bold=True) if is_bold else shown, nl=nl, err=err)


def results() -> Console:
    """Return a console for results: at most 80 columns, no markup, colour only on a terminal."""
    return SafeConsole(width=width(), markup=False, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """Print plain data as indented JSON with control characters escaped."""
    sys.stdout.write(json_on_terminal(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")


def write_file(path: Path, text: str) -> None:
    """Write `text` to a path that the user gave. Raises `LatteError` if that fails.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.output import write_file
        >>> write_file(Path("notes/today.txt"), "3 images")
    """
    from latte.io.files import write_text

    try:
        write_text(path, text)
    except OSError as error:
        raise LatteError(f"cannot be written ({error.strerror})", where=str(path)) from error


@contextmanager
def naming(argument: str) -> Iterator[None]:
    """Add the argument's name, such as `RUN`, to the location of errors in the `with` block.

    Example:
        >>> from latte.api import LatteError
        >>> from latte.api.output import naming
        >>> try:
        ...     with naming("RUN"):
        ...         raise LatteError("this is not a run folder", where="photos")
        ... except LatteError as error:
        ...     error.where
        'RUN photos'
    """
    try:
        yield
    except RecipeErrors:
        raise
    except LatteError as error:
        where = f"{argument} {error.where}" if error.where else argument
        raise LatteError(error.what, where=where, hint=error.hint) from error
