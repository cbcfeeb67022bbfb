"""Progress on stderr: bars on a terminal, plain lines in pipes, files and CI."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from latte.interfaces import Progress, ProgressTask
from latte.interfaces.progress import SilentProgress, SilentTask
from latte.io.redaction import on_terminal, redact
from latte.report.numbers import duration
from latte.report.terminal import SafeConsole, in_lines

SECONDS_BETWEEN_LINES = 10.0
LONG = 2.0
"""Seconds from which work in Python, such as `model.predict`, is shown."""
_WIDE = 80


def make_progress(quiet: bool = False, *, after: float = 0.0) -> Progress:
    """Return a progress display: bars on a terminal, else plain lines; nothing if `quiet`.

    Tasks that take less than `after` seconds are not shown.

    Example:
        >>> from latte.api.output import make_progress
        >>> with make_progress(quiet=True).task("reading", total=3, unit="images") as task:
        ...     task.advance()
    """
    if quiet:
        return SilentProgress()
    console = SafeConsole(stderr=True, highlight=False, markup=False, emoji=False)
    if console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI"):
        return RichProgress(console, after)
    return PlainProgress(after=after)


@contextmanager
def shown_progress(quiet: bool = False, *, verbose: bool = False) -> Iterator[Progress]:
    """Yield a progress display for a whole command.

    On a terminal it is one live display, which is erased at the end of the `with` block: the result
    takes its place. Warnings stay. If `verbose`, bars and lines stay, as with `make_progress`.
    """
    progress = make_progress(quiet)
    if verbose or not isinstance(progress, RichProgress):
        yield progress
        return
    with LiveProgress(progress.console) as live:
        yield live


class PlainProgress:
    """Progress as lines: at most one per ten seconds while a task runs, and one when it ends."""

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        after: float = 0.0,
    ) -> None:
        """Write to `stream`, by default standard error; leave out tasks shorter than `after` s."""
        self._stream = stream
        self._clock = clock
        self._after = after

    @contextmanager
    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> Iterator[ProgressTask]:
        """Print the progress of a task, also when an exception ends the task.

        If `total` is 0, nothing is printed.
        """
        if total == 0:
            yield SilentTask()
            return
        task = _PlainTask(self.say, self._clock, name, total, unit, done)
        try:
            yield task
        except BaseException:
            self._end(task, "stopped at ")
            raise
        self._end(task, "")

    def say(self, line: str) -> None:
        """Print one line."""
        stream = self._stream or sys.stderr  # which tests and notebooks replace
        stream.write(f"{on_terminal(redact(line))}\n")
        stream.flush()

    def _end(self, task: _PlainTask, prefix: str) -> None:
        if self._clock() - task.started >= self._after:
            self.say(task.summary(prefix))


class RichProgress:
    """Progress as bars with the rate, the time left, and values such as the loss."""

    def __init__(self, console: Console, after: float = 0.0) -> None:
        """Draw on `console`; leave out tasks shorter than `after` seconds."""
        self.console = console
        self._after = after
        self._bars = self._new_bars()
        self._open = 0

    @contextmanager
    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> Iterator[ProgressTask]:
        """Show a bar that stays on the screen after the task; if `total` is 0, show nothing."""
        identity = self._bars.add_task(
            name, total=total, completed=done, unit=unit, figures="", visible=False
        )
        self._open += 1
        timer = threading.Timer(self._after, self._show, (self._bars, identity))
        timer.daemon = True
        if total != 0 and self._after:
            timer.start()
        elif total != 0:
            self._show(self._bars, identity)
        try:
            yield _RichTask(self._bars, identity)
        finally:
            timer.cancel()
            if timer.ident is not None:
                timer.join()
            self._open -= 1
            self._bars.stop_task(identity)
            if self._open == 0:
                self._bars.stop()
                self._bars = self._new_bars()

    def _show(self, bars: Bars, identity: TaskID) -> None:
        bars.update(identity, visible=True)
        bars.start()

    def say(self, line: str) -> None:
        """Print one line above the bars."""
        self.console.print(in_lines(redact(line)), soft_wrap=True, markup=False, highlight=False)

    def _new_bars(self) -> Bars:
        """Return a new display of bars; a restarted one would overwrite its finished bars."""
        return Bars(
            TextColumn("{task.description}", markup=False),
            *([] if self.console.width < _WIDE else [BarColumn(bar_width=24)]),
            _CountColumn(),
            _RateColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[figures]}", style="dim", markup=False),
            console=self.console,
        )


class LiveProgress:
    """One display of all tasks of a command, with the newest line below; erased at the end.

    A line that begins with `warning` stays on the screen, as it asks for a look.
    """

    def __init__(self, console: Console) -> None:
        """Draw on `console`, between entering and leaving the `with` block."""
        self._console = console
        self._bars = _LiveBars(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}", markup=False),
            *([] if console.width < _WIDE else [BarColumn(bar_width=24)]),
            _CountColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[figures]}", style="dim", markup=False),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> LiveProgress:
        """Show the display."""
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Erase the display."""
        self._bars.stop()

    @contextmanager
    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> Iterator[ProgressTask]:
        """Show a bar; its line stays until the end of the command. If `total` is 0, show none."""
        if total == 0:
            yield SilentTask()
            return
        identity = self._bars.add_task(name, total=total, completed=done, unit=unit, figures="")
        try:
            yield _RichTask(self._bars, identity)
        finally:
            self._bars.update(identity, total=self._bars.tasks[identity].completed)

    def say(self, line: str) -> None:
        """Show a line below the bars until the next one, or keep it if it is a warning."""
        shown = redact(line)
        if shown.startswith("warning"):
            self._console.print(in_lines(shown), style="yellow", soft_wrap=True)
        else:
            self._bars.newest_line = shown.split("\n", 1)[0]


class _LiveBars(Bars):
    """Bars with one line of text below."""

    newest_line = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the table of bars, and the line."""
        yield from super().get_renderables()
        if self.newest_line:
            yield Text(self.newest_line, "dim", no_wrap=True, overflow="ellipsis")


@dataclass
class _PlainTask:
    say: Callable[[str], None]
    clock: Callable[[], float]
    name: str
    total: int | None
    unit: str
    done: int

    def __post_init__(self) -> None:
        self.first = self.done
        self.started = self.spoken = self.clock()

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        self.done += amount
        moment = self.clock()
        if moment - self.spoken >= SECONDS_BETWEEN_LINES and self._left != 0:
            self.spoken = moment
            seconds, new = moment - self.started, self.done - self.first
            left = self._left * seconds / new if new > 0 and self._left is not None else None
            texts = [
                f"{self.name}: {self._count}",
                _rate(new, seconds, self.unit),
                f"{duration(left)} left" if left is not None else "",
                in_words(figures),
            ]
            self.say(", ".join(filter(None, texts)))

    def summary(self, prefix: str) -> str:
        seconds = self.clock() - self.started
        rate = _rate(self.done - self.first, seconds, self.unit)
        line = f"{self.name}: {prefix}{self._count} in {duration(seconds)}"
        return f"{line} ({rate})" if rate else line

    @property
    def _count(self) -> str:
        total = f"/{self.total:,}" if self._left else ""
        return f"{self.done:,}{total} {self.unit}"

    @property
    def _left(self) -> int | None:
        return None if self.total is None else max(0, self.total - self.done)


class _RichTask:
    def __init__(self, bars: Bars, identity: TaskID) -> None:
        self._bars = bars
        self._identity = identity

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        self._bars.advance(self._identity, amount)
        if figures:
            self._bars.update(self._identity, figures=in_words(figures))


class _CountColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = "" if task.total is None or task.finished else f"/{task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{total} {task.fields['unit']}")


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return units per second: the recent rate while the task runs, then the average."""
        speed = task.finished_speed or task.speed
        return Text(f"{three_digits(speed)} {task.fields['unit']}/s" if speed else "")


def three_digits(value: float) -> str:
    """Format a rate as `0.0123`, `4.56` or `12,300`."""
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def in_words(figures: Mapping[str, float | str]) -> str:
    """Format values as `loss=2.13, tokens=12,300`: floats with four digits, integers in full."""
    words = []
    for key, value in figures.items():
        how = ".4g" if isinstance(value, float) else "," if isinstance(value, int) else ""
        words.append(f"{key}={value:{how}}")
    return ", ".join(words)


def _rate(units: int, seconds: float, unit: str) -> str:
    return f"{three_digits(units / seconds)} {unit}/s" if units > 0 and seconds > 0 else ""
