"""Print errors of commands, and handle signals."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from rich.text import Text

from latte.interfaces import LatteError, RecipeErrors
from latte.interfaces.provider import report_address
from latte.io.redaction import on_terminal, redact
from latte.registry.discovery import plugin_packages
from latte.registry.registry import plugin_file
from latte.registry.spec import BUILTIN_DISTRIBUTION, FILE_ENDING
from latte.report.terminal import SafeConsole, in_lines

UNEXPECTED = 1
BROKEN_PIPE = 1
INTERRUPTED = 130

_NOTE = "In plugin "
"""Beginning of the note with the package's name, which the registry adds to errors."""
_CALLED_BY_PLUGINS = ("latte.api", "latte.interfaces", "latte.toolkit")


def refuse_removed_folder() -> None:
    """Raise `LatteError` if the working directory was removed; otherwise torch would crash."""
    try:
        os.getcwd()  # noqa: PTH109 - the call that fails
    except FileNotFoundError:
        raise LatteError(
            "the working directory does not exist any more", hint="cd to a folder that exists"
        ) from None


def print_error(error: LatteError) -> None:
    """Print an error, or each error of a recipe, to stderr with its location and its fix."""
    errors = error.errors if isinstance(error, RecipeErrors) else [error]
    for mistake in errors:
        _print("error: ", str(mistake))
    if len(errors) > 1:
        _print("", f"{len(errors)} errors")


def print_stopped(
    received: Sequence[signal.Signals], stopped: BaseException | None = None, *, continues: bool
) -> int:
    """Print that Ctrl-C or a signal stopped the command; return the exit code.

    `received` is empty after Ctrl-C. The message contains the notes of `stopped` and its causes,
    such as the step at which training continues. Without notes, it says that the same command
    continues (if `continues`) or starts from the beginning.
    """
    word = _SIGNALS[received[0]] if received else "Interrupted"
    notes: list[str] = []
    while stopped is not None:
        notes += getattr(stopped, "__notes__", ())
        stopped = stopped.__cause__
    if notes:
        advice = f"Start the same command again: {'; '.join(notes)}."
    elif continues:
        advice = "Start the same command again to continue."
    else:
        advice = "The same command starts from the beginning."
    _print("", f"{word}. {advice}")
    return 128 + received[0] if received else INTERRUPTED


def print_unexpected(error: BaseException) -> None:
    """Print the traceback of a bug, the package that has the bug, and where to report it."""
    with suppress(OSError):
        sys.stderr.write(on_terminal(redact("".join(traceback.format_exception(error)))))
    plugin = _failed_plugin(error)
    name = plugin.partition(" ")[0] if plugin else ""
    if name.endswith(FILE_ENDING):
        _print("error: ", f"this is a bug in {name}; the lines above show where.")
        return
    culprit = f"the plugin {plugin}" if plugin else "latte"
    address = report_address(name) if plugin else None
    report = f"please report it with the lines above{f' to {address}' if address else '.'}"
    _print("error: ", f"this is a bug in {culprit}; {report}")


def _failed_plugin(error: BaseException) -> str | None:
    """Return package and version of the plugin whose code raised `error`; None for latte's code."""
    for note in getattr(error, "__notes__", ()):
        if note.startswith(_NOTE):
            plugin = note.removeprefix(_NOTE).removesuffix(".")
            return None if plugin.partition(" ")[0] == BUILTIN_DISTRIBUTION else plugin
    # Code that plugins call is skipped: most of its errors come from wrong arguments.
    file = plugin_file()
    packages = plugin_packages() | ({file.key: file.package} if file else {})
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        module = str(frame.f_globals.get("__name__", ""))
        package = module.partition(".")[0]
        if package in packages:
            return packages[package]
        if package == "latte" and not module.startswith(_CALLED_BY_PLUGINS):
            return None
    return None


def discard_unwritten_output() -> None:
    """Flush stdout and stderr, and discard text that cannot be written.

    Otherwise Python would try to write the text again when it exits.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def open_standard_streams() -> None:
    """Replace closed standard streams by the null device; allow file names that are not UTF-8.

    If a stream stayed closed, the next opened file could get its file descriptor, and printed text
    would be written into this file.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


class WarningHandler(logging.Handler):
    """Logging handler that prints latte's own warnings as plain lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one log record."""
        _print("warning: ", record.getMessage(), style="yellow")


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Print each warning of latte exactly once, during the `with` block."""
    logger = logging.getLogger("latte")
    previous_settings = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [WarningHandler(logging.WARNING)], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = previous_settings


def _print(prefix: str, message: str, style: str = "bold red") -> None:
    console = SafeConsole(stderr=True, soft_wrap=True, highlight=False)
    lines = (prefix + redact(message)).split("\n")
    shown = Text("\n".join(map(in_lines, lines) if console.is_terminal else lines))
    shown.stylize(style, 0, len(prefix))
    with suppress(OSError):  # stderr may be a closed terminal, or a file on a full disk
        console.print(shown)


class Terminated(KeyboardInterrupt):
    """Exception for SIGTERM and SIGHUP, which are handled like Ctrl-C."""


_SIGNALS = {signal.SIGTERM: "Terminated"}
if hasattr(signal, "SIGHUP"):  # not on Windows
    _SIGNALS[signal.SIGHUP] = "Hung up"


@contextmanager
def ended_by_signals() -> Iterator[list[signal.Signals]]:
    """Raise `Terminated` in the `with` block at SIGTERM or SIGHUP; yield the received signals.

    A second signal ends the process at once. A signal that the process ignores, such as SIGHUP
    after `nohup`, stays ignored, and a signal that has a handler keeps the handler.
    """
    received: list[signal.Signals] = []

    def end(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        release()
        raise Terminated

    def release() -> None:
        for number in _SIGNALS:
            if signal.getsignal(number) is end:
                signal.signal(number, signal.SIG_DFL)

    with suppress(ValueError):  # only the main thread may set a handler
        for number in _SIGNALS:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, end)
    try:
        yield received
    finally:
        with suppress(ValueError):
            release()
