"""How long work tells people how far it is, without knowing about terminals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class ProgressTask(Protocol):
    """One running piece of work."""

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        """`amount` more units are done; `figures` are shown beside the bar, such as `loss=2.1`."""


class Progress(Protocol):
    """Where tasks are shown; rate and time left are its business."""

    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> AbstractContextManager[ProgressTask]:
        """Open a task of `total` units, of which `done` were finished in an earlier run.

        None: nobody knows how many there will be.
        """

    def say(self, line: str) -> None:
        """Print one plain line, such as what is reused."""


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
