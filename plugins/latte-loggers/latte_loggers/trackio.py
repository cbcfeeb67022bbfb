"""Logger that runs Trackio in its own process, because Trackio uses one folder per process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from latte.api import LatteError, Options, RunStart
from latte_loggers.logger import LoggingReporter

_PATIENCE = 120
"""Largest number of seconds to wait until the process has written all buffered metrics."""
_REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WEBHOOK_URL", "TRACKIO_BUCKET_ID")
"""Environment variables with which Trackio would send metrics to other machines."""


class TrackioOptions(Options):
    """Options of `trackio`, which writes to `trackio/` in the run folder and uploads nothing."""

    project: str = Field(
        default="latte",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="the project: letters, digits, - and _",
    )


class TrackioReporter(LoggingReporter[TrackioOptions]):
    """Logger for Trackio; `TRACKIO_DIR=RUN/trackio trackio show` opens a run's dashboard."""

    package = "trackio"
    _process: subprocess.Popen[str]

    def begin(self, run: RunStart, step: int) -> None:
        """Start the process that logs to Trackio; see `trackio_process`."""
        folder = _folder(run.folder)
        folder.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name not in _REMOTE}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "latte_loggers.trackio_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "trackio.log").open("w"),
            text=True,
            env={**environment, "TRACKIO_DIR": str(folder)},
        )
        self._send({"project": self.options.project, "name": run.folder.name, "config": run.recipe})

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write the metrics as one row."""
        self._send({"step": step, "values": dict(values)})

    def summarise(self, step: int, values: Mapping[str, float]) -> None:
        """Write the summary as a row of the last step, as Trackio has no summaries."""
        self.log(step, values)

    def end(self, *, failed: bool) -> None:
        """Wait until all metrics are in the database."""
        assert self._process.stdin
        self._process.stdin.close()
        code = self._process.wait(_PATIENCE)
        if code:
            raise LatteError(
                f"Trackio ended with code {code}", hint="its last words: trackio/trackio.log"
            )

    def files(self, folder: Path) -> list[Path]:
        """Return the files of the run's database."""
        return sorted(_folder(folder).glob("*.db"))

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message, default=str) + "\n")
        self._process.stdin.flush()


def _folder(run: Path) -> Path:
    return run / "trackio"
