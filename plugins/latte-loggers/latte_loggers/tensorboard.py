"""Logger for TensorBoard, which uses torch's writer of event files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from latte.api import Options, RunStart
from latte_loggers.logger import LoggingReporter

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardOptions(Options):
    """Options of `tensorboard`, which writes event files to `tensorboard/` in the run folder."""

    flush_seconds: int = Field(
        default=30, ge=1, description="largest number of seconds before metrics are written to disk"
    )


class TensorBoardReporter(LoggingReporter[TensorBoardOptions]):
    """Logger for TensorBoard; `tensorboard --logdir runs` shows running and finished runs."""

    package = "tensorboard"
    supersedes = True
    _writer: SummaryWriter

    def begin(self, run: RunStart, step: int) -> None:
        """Open a new event file, which replaces an interrupted run's metrics from `step` on."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(
            log_dir=str(_folder(run.folder)), purge_step=step, flush_secs=self.options.flush_seconds
        )
        recipe = json.dumps(run.recipe, indent=2, ensure_ascii=False, default=str)
        indented = "\n".join(f"    {line}" for line in recipe.splitlines())
        self._writer.add_text("recipe", indented, step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write one scalar per metric."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def summarise(self, step: int, values: Mapping[str, float]) -> None:
        """Write the summary as scalars of the last step."""
        self.log(step, values)

    def end(self, *, failed: bool) -> None:
        """Write buffered events and close the file."""
        self._writer.close()

    def files(self, folder: Path) -> list[Path]:
        """Return the event files."""
        return sorted(_folder(folder).glob("events.out.tfevents.*"))


def _folder(run: Path) -> Path:
    return run / "tensorboard"
