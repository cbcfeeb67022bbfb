"""Runs a sweep, one run after another in this process; a failed one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from latte.compare.plan import PlannedRun
from latte.interfaces import LatteError, Progress
from latte.registry.registry import Registry
from latte.run.runner import run_recipe


@dataclass(frozen=True)
class Failure:
    """A run that failed, and why."""

    run: PlannedRun
    error: str


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C, after so many runs."""

    def __init__(self, done: int) -> None:
        super().__init__()
        self.done = done


def run_sweep(
    planned: Sequence[PlannedRun],
    registry: Registry,
    progress: Progress,
    *,
    on_start: Callable[[int, PlannedRun], None],
    on_failure: Callable[[Failure], None],
) -> list[Failure]:
    """Run everything; what is finished and unchanged is reused.

    `on_start` is told each run and its number from 1. Raises `SweepInterrupted`.
    """
    failures = []
    for index, run in enumerate(planned):
        on_start(index + 1, run)
        try:
            error = _error_of(run, registry, progress)
        except KeyboardInterrupt as interrupt:
            raise SweepInterrupted(index) from interrupt
        if error is not None:
            failures.append(Failure(run, error))
            on_failure(failures[-1])
    return failures


def _error_of(run: PlannedRun, registry: Registry, progress: Progress) -> str | None:
    """Run it. An error is kept as text alone: its traceback would keep models in memory."""
    try:
        run_recipe(run.recipe, registry, progress, limit=run.limit)
    except LatteError as error:
        return str(error)
    except Exception as error:
        return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    return None
