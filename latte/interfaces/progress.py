"""Interfaces that report the progress of long tasks, independent of a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class ProgressTask(Protocol):
    """Progress of one task.

    Example:
        >>> from latte.api import ProgressTask
        >>> def copy(files: list[str], task: ProgressTask) -> None:
        ...     for _ in files:
        ...         task.advance()
    """

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        """Add `amount` finished units; show `figures`, such as `loss=2.1`, beside the bar."""


class Progress(Protocol):
    """Display of the progress of tasks, with rate and remaining time.

    Example:
        >>> from latte.api import Progress
        >>> def copy(files: list[str], progress: Progress) -> None:
        ...     with progress.task("copying", len(files), "files") as task:
        ...         task.advance(len(files))
    """

    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> AbstractContextManager[ProgressTask]:
        """Show a progress bar inside a `with` block, for `total` units called `unit`.

        `total` is None if it is unknown. `done` units were finished by an earlier run.
        """

    def say(self, line: str) -> None:
        """Print one line of plain text."""


class SilentProgress:
    """Implementation of `Progress` that shows nothing."""

    @contextmanager
    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> Iterator[ProgressTask]:
        """Yield a `SilentTask`."""
        yield SilentTask()

    def say(self, line: str) -> None:
        """Print nothing."""


class SilentTask:
    """Implementation of `ProgressTask` that shows nothing."""

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        """Show nothing."""
