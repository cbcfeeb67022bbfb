"""Commands of latte in a folder with a finished run, for the matrix of circumstances."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from latte_author.testing.tiny_runs import TinyRuns

from tests.faults.place import Ended
from tests.helpers.squares import RECIPE
from tests.helpers.whole_runs import environment

PATIENCE = 180.0
"""Seconds after which a command counts as hanging."""
RUN = "runs/finished"
ODD = "images/odd.png"
"""An image in every folder; circumstances replace this file by something else."""


@dataclass(frozen=True)
class FaultCommand:
    """A command line, and the inputs that it reads."""

    line: str
    images: bool = False
    """True if it reads the images."""
    run: bool = False
    """True if it reads the finished run."""
    codes: frozenset[int] = frozenset()
    """Exit codes for failures that only this command has."""

    @property
    def arguments(self) -> list[str]:
        """The arguments of `latte`."""
        return self.line.split()


COMMANDS = (
    FaultCommand("adapt images --classes classes.txt --model local-dir:clip -o made", images=True),
    FaultCommand("new --images images --classes classes.txt -o new.yaml", images=True),
    FaultCommand("run recipe.yaml --set output=again", images=True),
    FaultCommand("check recipe.yaml"),
    FaultCommand("describe recipe.yaml", images=True),
    FaultCommand("describe --stored"),
    FaultCommand(f"evaluate {RUN}", images=True, run=True),
    FaultCommand(f"predict {RUN} images {ODD} -o rows.csv", images=True, run=True),
    FaultCommand(f"predict {RUN} - --format jsonl", images=True, run=True),
    FaultCommand(f"export {RUN} --format onnx -o exported", run=True),
    FaultCommand(f"report {RUN}", images=True, run=True),
    FaultCommand(
        "sweep recipe.yaml --seeds 0 --set output=again", images=True, codes=frozenset({1})
    ),
    FaultCommand(f"review {RUN} --show", run=True),
    FaultCommand(f"export {RUN} --format csv -o labels.csv", run=True),
    FaultCommand("compare runs --csv table.csv --html table.html", run=True),
    FaultCommand("reproduce table-1 --dry-run"),
    FaultCommand("recipes copy parts/latteclip copied.yaml"),
    FaultCommand("check --schema"),
    FaultCommand("datasets"),
    FaultCommand("components"),
    FaultCommand("plugins"),
    FaultCommand("plugins new latte-odd --kind loss"),
    FaultCommand("doctor"),
    FaultCommand("--help"),
)


class Prepared:
    """Folder with images, a recipe, a finished run and its caches. A cell gets a copy of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "prepared"
        tiny = TinyRuns(self.folder)
        shutil.copy(self.folder / "images/00.png", self.folder / ODD)
        (self.folder / "classes.txt").write_text("red\ngreen\nblue\n")
        recipe = RECIPE.format(clip="clip").replace("max_epochs: 2", "max_epochs: 1")
        run_folder = tiny.run(recipe)
        run_folder.rename(self.folder / RUN)
        (self.folder / "tmp").mkdir()
        self._numbers = count()

    def cell(self) -> Path:
        """Return a new copy of the folder."""
        folder = self.folder.with_name(f"cell-{next(self._numbers)}")
        shutil.copytree(self.folder, folder, symlinks=True)
        return folder


def start(
    command: FaultCommand, folder: Path, script: str, settings: Mapping[str, str | None]
) -> subprocess.Popen[bytes]:
    """Start `command` in `folder` through the bash `script`, in which `"$@"` is the command.

    Standard input has the paths of all images.
    """
    variables = {**environment(folder), "TMPDIR": str(folder / "tmp"), **settings}
    latte = [sys.executable, "-m", "latte", *command.arguments]
    names = sorted(os.listdir(os.fsencode(folder / "images")))  # noqa: PTH208 - bytes
    with tempfile.TemporaryFile() as listed:
        listed.write(b"".join(b"images/%b\n" % name for name in names))
        listed.seek(0)
        return subprocess.Popen(
            ["bash", "-c", script, "bash", *latte],
            cwd=folder,
            env={name: value for name, value in variables.items() if value is not None},
            stdin=listed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes], signal_after: float | None = None) -> Ended:
    """Wait for the end of `process`; SIGHUP is sent after the given seconds.

    The exit code is the one that a shell shows; it is 124 for a process that hangs.
    """
    if signal_after is not None:
        time.sleep(signal_after)
        _send(process, signal.SIGHUP)
    try:
        output, _ = process.communicate(timeout=PATIENCE)
        code = process.returncode
    except subprocess.TimeoutExpired:
        _send(process, signal.SIGKILL)
        output, _ = process.communicate()
        code = 124
    return Ended(code if code >= 0 else 128 - code, output.decode("utf-8", "backslashreplace"))


def _send(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)


def leftovers(folder: Path) -> list[str]:
    """Temporary files below `folder`: in the run folders, the cache, beside outputs, in TMPDIR."""
    temporary_files = [*folder.rglob("*.tmp"), *(folder / "tmp").glob("*")]
    return sorted({path.relative_to(folder).as_posix() for path in temporary_files})
