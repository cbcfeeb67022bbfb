"""What a machine can do to a command: a full disk, no permission, no memory, the order to end.

None of it is a bug, so people get what, where and what to do about it, and no traceback.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.text import Text

from latte.cli.output import SafeConsole
from latte.interfaces import LatteError, RecipeErrors
from latte.io.redaction import on_terminal, redact

TERMINATED = 128 + signal.SIGTERM
_SPACE = "free some space and run the same command again: what was finished is kept"
_RIGHTS = (
    "give this user the right to read and write there, or choose another place: `output`, "
    "LATTE_CACHE"
)
_MEMORY = "stop what else needs memory, or take smaller parts: lower "
_HINTS = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "allow larger files (ulimit -f), and run the same command again",
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EIO: "look at the disk or the network file system, then run the same command again",
    errno.EMFILE: "allow more open files (ulimit -n), and run the same command again",
    errno.ENFILE: "stop what else has files open, and run the same command again",
    errno.ENOMEM: f"{_MEMORY}`evaluate.batch_size` and `train.micro_batch_size`",
}
_OF_RUST = re.compile(r"\(os error (\d+)\)")


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever ends well for Ctrl-C ends well for it."""


@contextmanager
def ended_by_sigterm() -> Iterator[list[int]]:
    """Within the block SIGTERM raises `Terminated`, once; the list has the signals that came.

    A second one ends the process at once: what it wrote is whole or absent anyway.
    """
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Terminated

    try:
        free = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        if free:
            signal.signal(signal.SIGTERM, end)
    except ValueError:  # not the main thread, which alone gets signals
        free = False
    try:
        yield came
    finally:
        if free and signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def fault_of_the_machine(error: BaseException) -> LatteError | None:
    """What people should be told where `error`, or what it came from, is the machine's fault."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        found = _lack_of_memory(one) or _lack_of_torch(one) or _refusal_of_the_system(one)
        if found is not None:
            return found
        one = one.__cause__ or one.__context__
    return None


def _refusal_of_the_system(error: BaseException) -> LatteError | None:
    number = _error_number(error)
    if number not in _HINTS:
        return None
    what = os.strerror(number)
    return LatteError(what[0].lower() + what[1:], where=_place(error), hint=_HINTS[number])


def _error_number(error: BaseException) -> int:
    """Of an `OSError`, or of what safetensors says in its place; 0 for others."""
    if isinstance(error, OSError):
        return error.errno or 0
    if type(error).__name__ != "SafetensorError":
        return 0
    found = _OF_RUST.search(str(error))
    return int(found.group(1)) if found else 0


def _place(error: BaseException) -> str | None:
    """The file; for a temporary one its folder, which is what people know."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str | bytes):
        return None
    path = Path(os.fsdecode(name))
    return str(path.parent if path.suffix == ".tmp" else path)


def _lack_of_memory(error: BaseException) -> LatteError | None:
    """`torch.OutOfMemoryError` by name, for this module does not import torch."""
    said = "can't allocate memory" in str(error)
    if isinstance(error, MemoryError) or (said and isinstance(error, RuntimeError)):
        return LatteError("there is not enough memory", hint=_HINTS[errno.ENOMEM])
    if type(error).__name__ == "OutOfMemoryError":
        return LatteError("the GPU has not enough memory", hint=_HINTS[errno.ENOMEM])
    return None


def _lack_of_torch(error: BaseException) -> LatteError | None:
    """An environment without what needs a choice of build, as after `pip install --no-deps`."""
    if isinstance(error, ModuleNotFoundError) and error.name in ("torch", "torchvision"):
        return LatteError(
            f"{error.name} is not installed in this environment",
            hint="pip install torch torchvision, in the build for your GPU",
        )
    return None


# How the command line ends when something goes wrong: plain words, and an exit code.


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
    sys.stderr.write(on_terminal(redact("".join(traceback.format_exception(error)))))
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
    console.print(Text.assemble((prefix, style), redact(message)))
