"""How the command line ends when something goes wrong: plain words, and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from rich.text import Text

from latte.cli.output import SafeConsole
from latte.interfaces import LatteError, RecipeErrors
from latte.report.plain import on_terminal
from latte.secrecy import untold

INTERRUPTED = 130
BROKEN_PIPE = 1
UNEXPECTED = 1


def print_error(error: LatteError) -> None:
    """Print what is wrong, where, and what to do about it to stderr."""
    errors = error.errors if isinstance(error, RecipeErrors) else [error]
    for one in errors:
        _print("error: ", str(one))
    if len(errors) > 1:
        _print("", f"{len(errors)} errors")


def print_interrupted() -> None:
    """Say that Ctrl-C was understood."""
    _print("", "Interrupted. A run goes on from where it stopped when it is started again.")


def print_terminated() -> None:
    """Say that SIGTERM was understood."""
    _print("", "Terminated. A run goes on from where it stopped when it is started again.")


def print_unexpected(error: BaseException) -> None:
    """Print the traceback of an error that nobody foresaw, and whose fault it is."""
    sys.stderr.write(on_terminal(untold("".join(traceback.format_exception(error)))))
    blamed = any(note.startswith("In plugin ") for note in getattr(error, "__notes__", ()))
    culprit = "the plugin named above" if blamed else "latte"
    _print("error: ", f"this is a bug in {culprit}; please report it with the lines above.")


def silence_broken_pipe() -> None:
    """Let nothing more be written to a reader that has gone, such as `head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class WarningHandler(logging.Handler):
    """Shows latte's own warnings as plain lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        _print("warning: ", record.getMessage(), style="yellow")


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Within the block latte's own warnings are shown, once: whoever set up logging, too."""
    logger = logging.getLogger("latte")
    before = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [WarningHandler(logging.WARNING)], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before


def _print(prefix: str, message: str, style: str = "bold red") -> None:
    console = SafeConsole(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text.assemble((prefix, style), untold(message)))
