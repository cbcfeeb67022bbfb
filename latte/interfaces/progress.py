"""Progress of long work, independent of terminals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class ProgressTask(Protocol):
    """One task in progress.

    Example:
        >>> from latte.api import ProgressTask
        >>> def copy(files: list[str], task: ProgressTask) -> None:
        ...     for _ in files:
        ...         task.advance()
    """

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        """Add `amount` finished units; show `figures`, such as `loss=2.1`, beside the bar."""


class Progress(Protocol):
    """Display of tasks, with their rate and remaining time.

    Example:
        >>> from latte.api import Progress
        >>> def copy(files: list[str], progress: Progress) -> None:
        ...     with progress.task("copying", len(files), "files") as task:
        ...         task.advance(len(files))
    """

    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> AbstractContextManager[ProgressTask]:
        """Open a task of `total` units, of which an earlier run finished `done`.

        `total` is None if the number is not known.
        """

    def say(self, line: str) -> None:
        """Print one line of plain text."""


class SilentProgress:
    """Shows nothing."""

    @contextmanager
    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> Iterator[ProgressTask]:
        """Open a task that nobody sees."""
        yield _SilentTask()

    def say(self, line: str) -> None:
        """Print nothing."""


class _SilentTask:
    def advance(self, amount: int = 1, **figures: float | str) -> None:
        """Show nothing."""
