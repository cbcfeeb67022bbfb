"""A run's reporters while it goes on: they hear of it, and their trouble stays theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from latte.interfaces import Figures, Progress, Reporter, RunStart, StageEnd

Rows = Sequence[Mapping[str, Any]]
_POSITIONS = ("event", "step", "epoch")


class Listeners:
    """The reporters of one run, each with the name that the recipe calls it."""

    def __init__(self, reporters: Sequence[tuple[str, Reporter[Any]]], progress: Progress) -> None:
        self.reporters = [reporter for _, reporter in reporters]
        self._listening = [*reporters]
        self._progress = progress

    @contextmanager
    def run(self) -> Iterator[None]:
        """What happens inside is a run: its end, or its failure, is told."""
        try:
            yield
        except BaseException as error:
            self._tell("on_run_failure", error)
            raise
        self._tell("on_run_end")

    def run_started(self, run: RunStart) -> None:
        """See `Reporter.on_run_start`."""
        self._tell("on_run_start", run)

    def stage_started(self, stage: str) -> None:
        """See `Reporter.on_stage_start`."""
        self._tell("on_stage_start", stage)

    def stage_finished(self, stage: str, seconds: float, *, reused: bool) -> None:
        """See `Reporter.on_stage_end`."""
        self._tell("on_stage_end", StageEnd(stage, seconds, reused))

    def rows(self, rows: Rows) -> None:
        """Rows that `metrics.jsonl` has just got, of steps or of epochs."""
        steps = [_figures(row) for row in rows if row["event"] == "step"]
        if steps:
            self._tell("on_steps", steps)
        for row in rows:
            if row["event"] == "epoch":
                self._tell("on_epoch_end", _figures(row))

    def _tell(self, hook: str, *details: Any) -> None:
        for name, reporter in [*self._listening]:
            try:
                getattr(reporter, hook)(*details)
            except Exception as error:
                self._listening.remove((name, reporter))
                self._progress.say(
                    f"warning: reporter {name} failed in {hook} ({_told(error)}); "
                    "the run goes on without telling it more"
                )


def _figures(row: Mapping[str, Any]) -> Figures:
    values = {name: float(value) for name, value in row.items() if name not in _POSITIONS}
    return Figures(row["step"], row["epoch"], values)


def _told(error: Exception) -> str:
    """One short line, whatever the error says."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 200 else text[:199] + "…"
