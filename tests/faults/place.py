"""Folder with a short recipe and its own cache, and `latte run` in separate processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from latte_author.testing.tiny_runs import results

from tests.helpers.whole_runs import environment

REPOSITORY = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "plugin"
BATCH = 2
"""Batch size of the describer in `plugin/`."""
PATIENCE = 300.0
"""After this many seconds, a process counts as hanging."""
ALL_STAGES = (
    "--set=describer=slow",
    "--set=reporters=[html, stages]",
    "--set=controls={plain: {descriptions: [class], describer: null}}",
    "--set=train.max_epochs=6",
    "--set=train.checkpoint_every=1",
    "--set=train.evaluate_every=3",
)


class Ended:
    """Exit code and output of a process."""

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output

    @property
    def said(self) -> str:
        """First line of the error message; paths are relative to the place."""
        complaints = [line for line in self.output.splitlines() if line.startswith("error: ")]
        first_complaint = complaints[0].removeprefix("error: ") if complaints else ""
        return re.sub(r"\S*/place-\d+/", "", first_complaint)


class FaultPlace:
    """Folder of one fault; `recipe` is only read."""

    def __init__(self, recipe: Path, folder: Path, changes: Sequence[str] = ALL_STAGES) -> None:
        self.recipe = recipe
        self.folder = folder
        self.changes = changes
        self.interruptions = 0
        folder.mkdir(parents=True)

    def start(
        self, *more_options: str, wrapped: Sequence[str] = (), **settings: str
    ) -> subprocess.Popen[str]:
        """Start `latte run`, optionally through a command, with more options and settings."""
        self.stages.unlink(missing_ok=True)
        recipe = ("run", str(self.recipe), "--quiet")
        return self.latte(*recipe, *self.changes, *more_options, wrapped=wrapped, **settings)

    def latte(
        self, *arguments: str, wrapped: Sequence[str] = (), **settings: str
    ) -> subprocess.Popen[str]:
        """Start `latte ARGUMENTS`, optionally through a command, with more settings."""
        return subprocess.Popen(
            [*wrapped, sys.executable, "-m", "latte", *arguments],
            cwd=self.folder,
            env={**self.environment(), **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def environment(self) -> Mapping[str, str]:
        """Environment of every process."""
        return {
            **environment(self.folder),
            "PYTHONPATH": f"{PLUGIN}{os.pathsep}{REPOSITORY}",
            "FAULTS_ASKED": str(self.folder / "asked.txt"),
            "FAULTS_STAGES": str(self.stages),
        }

    def end(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for the end of `process`."""
        output, _ = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, output)

    def run(self, *more_options: str, wrapped: Sequence[str] = (), **settings: str) -> Ended:
        """Start a run and wait for its end."""
        return self.end(self.start(*more_options, wrapped=wrapped, **settings))

    def finish(self, *more_options: str, **settings: str) -> Path:
        """Run to the end and return the run folder."""
        ended = self.run(*more_options, **settings)
        assert ended.code == 0, ended.output
        return self.run_folder

    def interrupt_when(
        self, ready: Callable[[], bool], number: int = signal.SIGKILL, /, **settings: str
    ) -> Ended | None:
        """Start a run, and send the signal as soon as `ready`; None if the process ended before."""
        process = self.start(**settings)
        if not self.wait_until(ready, process):
            ended = self.end(process)
            assert ended.code == 0, ended.output
            return None
        process.send_signal(number)
        self.interruptions += 1
        return self.end(process)

    def kill_when(self, ready: Callable[[], bool]) -> None:
        """Start a run, and send `kill -9` as soon as `ready`, which must happen before its end."""
        ended = self.interrupt_when(ready)
        assert ended is not None, "the moment to kill never came"
        assert ended.code == -signal.SIGKILL, ended.output

    def wait_until(self, ready: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
        """Wait until `ready()` is true; return False if `process` ended before."""
        deadline = time.monotonic() + PATIENCE
        while not ready():
            if process.poll() is not None:
                return False
            assert time.monotonic() < deadline, "the moment never came"
            time.sleep(0.002)
        return process.poll() is None

    @property
    def run_folder(self) -> Path:
        """The only run folder."""
        (run_folder,) = (self.folder / "runs").iterdir()
        return run_folder

    @property
    def cache(self) -> Path:
        """Folder of `LATTE_CACHE`."""
        return self.folder / "cache"

    @property
    def stages(self) -> Path:
        """File in which the current process records the stages that it starts."""
        return self.folder / "stages.txt"

    def began(self) -> dict[str, float]:
        """Started stages of the current process, with their times."""
        if not self.stages.exists():
            return {}
        lines = self.stages.read_text().split("\n")[:-1]
        return {stage: float(when) for stage, when in (line.split() for line in lines)}

    def asked(self) -> list[str]:
        """Requests to the describer so far, with repetitions."""
        path = self.folder / "asked.txt"
        return path.read_text().splitlines() if path.exists() else []

    def has_trained(self, steps: int) -> bool:
        """Return True if there is a checkpoint of at least `steps` steps."""
        return self.steps() >= steps

    def has_begun(self, stage: str) -> bool:
        """Return True if the current process has started `stage`."""
        return stage in self.began()

    def steps(self) -> int:
        """Steps of the newest checkpoint of the run, without its controls."""
        checkpoint_names = [path.name for path in self.folder.glob("runs/*/checkpoints/step-*")]
        return max((int(name.removeprefix("step-")) for name in checkpoint_names), default=0)

    def leftovers(self) -> list[str]:
        """Temporary files in run folders, in the cache, and in their parent folders."""
        return [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.tmp")]


def differences(place: FaultPlace, expected: FaultPlace) -> list[str]:
    """Return the results of run and controls that are not bit-identical to the expected ones."""
    pairs = [(place.run_folder, expected.run_folder)]
    for control in sorted(expected.run_folder.glob("controls/*/*/")):
        pairs.append((place.run_folder / control.relative_to(expected.run_folder), control))
    different = []
    for folder, expected_folder in pairs:
        run_files, expected_files = results(folder), results(expected_folder)
        different += [
            f"{folder.name}/{name}" for name in run_files if run_files[name] != expected_files[name]
        ]
    if not (place.run_folder / "report" / "index.html").is_file():
        different.append("report/index.html")
    return different


def asked_in_vain(place: FaultPlace, expected: FaultPlace) -> int:
    """Return the number of requests that were asked again although their texts were stored.

    A kill between an answer and its storage is allowed to repeat one batch.
    """
    times = Counter(place.asked())
    missing = {*expected.asked()} - times.keys()
    asked_twice = sum(times.values()) - len(times)
    return len(missing) + max(0, asked_twice - BATCH * place.interruptions)
