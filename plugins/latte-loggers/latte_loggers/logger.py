"""Base class of the loggers, which opens a log when the first metrics arrive."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from latte.api import (
    Context,
    Figures,
    LatteError,
    OptionsT,
    Reporter,
    RunResults,
    RunStart,
    StageEnd,
    without_secrets,
)

_POSITIONS = ("event", "step", "epoch")


class LoggingReporter(Reporter[OptionsT]):
    """Reporter that logs metrics during a run and a summary at its end."""

    package: ClassVar[str]
    """Name of the package that must be installed, and of the extra that installs it."""
    supersedes: ClassVar[bool] = False
    """True if opening a log hides the metrics that were logged before from its first step on."""

    def __init__(self, options: OptionsT, context: Context) -> None:
        super().__init__(options, context)
        if find_spec(self.package) is None:
            raise LatteError(
                f"the reporter `{self.package}` needs the package {self.package}",
                hint=f"pip install 'latte-loggers[{self.package}]'",
            )
        self._run: RunStart | None = None
        self._open = False

    @abstractmethod
    def begin(self, run: RunStart, step: int) -> None:
        """Open the log of this run; `step` is the first step that will be logged."""

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log the metrics of one step."""

    @abstractmethod
    def summarise(self, step: int, values: Mapping[str, float]) -> None:
        """Log the metrics of the finished run."""

    @abstractmethod
    def end(self, *, failed: bool) -> None:
        """Close the log that `begin` opened."""

    @abstractmethod
    def files(self, folder: Path) -> list[Path]:
        """Return the paths in the run folder that this logger writes, the newest last."""

    def on_run_start(self, run: RunStart) -> None:
        """Store `run`; the log is opened later, so that reusing a finished run opens no log."""
        self._run = run

    def on_steps(self, steps: Sequence[Figures]) -> None:
        """Log the metrics of several steps."""
        for figures in steps:
            self._log(figures.step, "train", figures.values)

    def on_epoch_end(self, epoch: Figures) -> None:
        """Log the evaluation after an epoch."""
        self._log(epoch.step, "epoch", {**epoch.values, "number": float(epoch.epoch)})

    def on_stage_end(self, stage: StageEnd) -> None:
        """Do nothing, as the summary contains the times of the stages."""

    def report(self, results: RunResults) -> list[Path]:
        """Log the recorded metrics that are not logged yet, then the summary; once per run."""
        values = summary(results)
        if self._open or not self._is_logged(values, results.folder):
            if not self._open:
                self._catch_up(results)
            last_step = max((int(row["step"]) for row in results.metrics), default=0)
            self.summarise(last_step, values)
            self._close(failed=False)
        return self.files(results.folder)

    def on_run_end(self) -> None:
        """Close the log of a run that ended before its report, as with `--until train`."""
        self._close(failed=False)

    def on_run_failure(self, error: BaseException) -> None:
        """Close the log and mark the run as failed."""
        self._close(failed=True)

    def _is_logged(self, values: Mapping[str, float], folder: Path) -> bool:
        """Return True if the newest log file already has the summary `values`.

        All loggers write the names of metrics as plain text, so the file is searched for them. An
        older file may have the summary of an earlier training.
        """
        contents = [path.read_bytes() for path in self.files(folder)[-1:]]
        return any(name.encode() in content for content in contents for name in values)

    def _catch_up(self, results: RunResults) -> None:
        record = results.record
        recipe, seed = without_secrets(record.recipe), int(record.recipe.get("seed", 0))
        run = RunStart(record.name, results.folder, recipe, seed, record.data.class_names)
        self._run = run
        rows = results.metrics if self.supersedes or not self.files(results.folder) else ()
        self._begin(run, 1)
        for row in rows:
            values = {name: float(value) for name, value in row.items() if name not in _POSITIONS}
            if row["event"] == "epoch":
                values["number"] = float(row["epoch"])
            self._log(row["step"], "train" if row["event"] == "step" else "epoch", values)

    def _log(self, step: int, prefix: str, values: Mapping[str, float]) -> None:
        if not self._open and self._run is not None:
            self._begin(self._run, step)
        self.log(step, {f"{prefix}/{name}": value for name, value in values.items()})

    def _begin(self, run: RunStart, step: int) -> None:
        self.begin(run, step)
        self._open = True

    def _close(self, *, failed: bool) -> None:
        if self._open:
            self._open = False
            self.end(failed=failed)


def summary(results: RunResults) -> dict[str, float]:
    """Return accuracies, gains and times by metric name, such as `result/adapted/top1`."""
    metrics: dict[str, float] = {}
    for model in results.record.evaluate.models:
        for title, evaluation in model.accuracies():
            start, gain = f"result/{title}", evaluation.gain
            metrics |= {
                f"{start}/top1": evaluation.top1.value,
                f"{start}/mean_per_class": evaluation.mean_per_class,
            }
            if gain is not None:
                metrics |= {
                    f"{start}/gain": gain.value,
                    f"{start}/gain_low": gain.low,
                    f"{start}/gain_high": gain.high,
                }
    changed = sum(flow.images for flow in results.label_flows if flow.frozen != flow.adapted)
    if results.label_flows:
        changed_share = changed / results.record.data.training_images
        metrics["result/changed_pseudo_labels"] = changed_share
    return metrics | {f"seconds/{stage}": value for stage, value in results.record.seconds.items()}
