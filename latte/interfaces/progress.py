"""Progress display of a run, and the events that reporters get."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


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


LONG_SECONDS = 5.0
"""Tasks of `long_task` that end sooner show nothing."""


@contextmanager
def long_task(
    progress: Progress | None, name: str, total: int, unit: str
) -> Iterator[ProgressTask]:
    """Show a task inside a `with` block once it has taken five seconds.

    Work that is short for small sets prints nothing, and for large sets shows its progress.
    Without `progress`, nothing is shown.

    Example:
        >>> from latte.api import Context, long_task
        >>> def search(blocks: list[str], context: Context) -> None:
        ...     with long_task(context.progress, "search", len(blocks), "blocks") as task:
        ...         for _ in blocks:
        ...             task.advance()
    """
    with ExitStack() as stack:
        if progress is None:
            yield SilentTask()
        else:
            yield _LongTask(progress, name, total, unit, stack)


class _LongTask:
    def __init__(
        self, progress: Progress, name: str, total: int, unit: str, stack: ExitStack
    ) -> None:
        self._progress = progress
        self._name, self._total, self._unit = name, total, unit
        self._stack = stack
        self._shown_from = time.monotonic() + LONG_SECONDS
        self._done = 0
        self._shown: ProgressTask | None = None

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        self._done += amount
        if self._shown is not None:
            self._shown.advance(amount, **figures)
        elif self._done < self._total and time.monotonic() >= self._shown_from:
            task = self._progress.task(self._name, self._total, self._unit, self._done)
            self._shown = self._stack.enter_context(task)


@dataclass(frozen=True)
class RunStart:
    """Event at the start of a run; also sent when a stopped run continues.

    Attributes:
        folder: Run folder, which stays the same if the recipe runs again. Reporters write only
            inside it.
        recipe: The resolved recipe as plain data; values of keys such as `api_key` are redacted.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import RunStart
        >>> RunStart("pets", Path("runs/pets-1f"), {"seed": 0}, 0, ("cat", "dog")).name
        'pets'
    """

    name: str
    folder: Path
    recipe: Mapping[str, Any]
    seed: int
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class StageEnd:
    """Event at the end of a stage, such as `train`.

    Attributes:
        seconds: Wall-clock seconds; a reused stage keeps its earlier time.
        reused: True if the stage was skipped because an earlier run finished it.

    Example:
        >>> from latte.api import StageEnd
        >>> StageEnd("train", seconds=12.5, reused=False).stage
        'train'
    """

    stage: str
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Figures:
    """Measurements from one training step, or from the end of one epoch.

    Attributes:
        step: Number of finished optimiser steps. A resumed run may send a step again, unchanged.
        epoch: Index of the epoch, from 0.
        values: Measured values by name: `loss`, for example, or `learner.loss` with several
            learners.

    Example:
        >>> from latte.api import Figures
        >>> Figures(step=1, epoch=0, values={"loss": 2.1}).values["loss"]
        2.1
    """

    step: int
    epoch: int
    values: Mapping[str, float]
