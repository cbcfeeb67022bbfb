"""Call the hooks of a run's reporters; a reporter that fails does not stop the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from latte.interfaces import Figures, Progress, Reporter
from latte.interfaces.errors import error_line

MetricRows = Sequence[Mapping[str, Any]]
_POSITIONS = ("event", "step", "epoch")


class Listeners:
    """Calls the hooks of the reporters of one run."""

    def __init__(self, reporters: Sequence[tuple[str, Reporter[Any]]], progress: Progress) -> None:
        self.reporters: list[Reporter[Any]] = [reporter for _, reporter in reporters]
        self._listening = [*reporters]
        self._progress = progress

    @contextmanager
    def run(self) -> Iterator[None]:
        """Call `on_run_end` when the `with` block ends, or `on_run_failure` if it raises."""
        try:
            yield
        except BaseException as error:
            self.call("on_run_failure", error)
            raise
        self.call("on_run_end")

    def rows(self, rows: MetricRows) -> None:
        """Pass new rows of `metrics.jsonl` to the hooks `on_steps` and `on_epoch_end`."""
        steps = [_figures(row) for row in rows if row["event"] == "step"]
        if steps:
            self.call("on_steps", steps)
        for row in rows:
            if row["event"] == "epoch":
                self.call("on_epoch_end", _figures(row))

    def call(self, hook: str, *details: Any) -> None:
        """Call a hook of all reporters; a reporter that raises an exception is not called again."""
        for name, reporter in [*self._listening]:
            try:
                getattr(reporter, hook)(*details)
            except Exception as error:
                self._listening.remove((name, reporter))
                self._progress.say(
                    f"warning: reporter {name} failed in {hook} ({error_line(error)}); "
                    "the run goes on and calls no further hook of it"
                )


def _figures(row: Mapping[str, Any]) -> Figures:
    values = {name: float(value) for name, value in row.items() if name not in _POSITIONS}
    return Figures(row["step"], row["epoch"], values)
