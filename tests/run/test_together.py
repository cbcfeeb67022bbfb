"""`torchrun -m latte run`: one run by several processes, also when one of them dies or fails."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.guards import fixed
from tests.helpers.plugin_packages import write_package
from tests.helpers.records import recorded
from tests.helpers.scripted_describer import Noting
from tests.helpers.whole_runs import assert_same_results, environment, run

REPOSITORY = Path(__file__).parents[2]
CONTROL = "controls={plain: {descriptions: [class], describer: null}}"
LONG = (
    "train.max_epochs=20",
    "train.checkpoint_every=1",
    "train.evaluate_every=10",
    "train.optimizer.learning_rate=1.0e-5",
)
"""A recipe that runs long enough to be killed."""
TOLERANCE = 1e-5
LOST = "error: this run has stopped: another of its processes has ended"


class Together:
    """Start `latte run` by several processes with torchrun in `folder`."""

    def __init__(
        self,
        recipe: Path,
        folder: Path,
        count: int,
        *changes: str,
        meeting: Sequence[str] = ("--standalone",),
        **env: str,
    ) -> None:
        command = [sys.executable, "-m", "torch.distributed.run", *meeting]
        arguments = ["--nproc-per-node", str(count), "-m", "latte", "run", str(recipe), "--quiet"]
        options = [option for change in changes for option in ("--set", change)]
        self.process = subprocess.Popen(
            [*command, *arguments, *options],
            cwd=folder,
            env={**environment(folder), "PYTHONPATH": str(REPOSITORY), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def workers(self) -> dict[int, int]:
        """Process ids by rank."""
        agent = self.process.pid
        children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
        process_ids = {}
        for child in children:
            reported = Path(f"/proc/{child}/environ").read_text().split("\0")
            for value in reported:
                if value.startswith("RANK="):
                    process_ids[int(value.removeprefix("RANK="))] = int(child)
        return process_ids

    def kill_when(self, rank: int, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not ready():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "the moment to kill never came"
            time.sleep(0.005)
        os.kill(self.workers()[rank], signal.SIGKILL)

    def end(self, timeout: float = 300) -> tuple[int, str, list[str]]:
        """Exit code, what was printed, and latte's own lines among the complaints."""
        output, complaints = self.process.communicate(timeout=timeout)
        return self.process.returncode, output, _without_torchrun(complaints)


def _without_torchrun(text: str) -> list[str]:
    """Return only the lines of latte, without torchrun's report."""
    latte_lines = text.partition("Traceback (most recent call last)")[0].splitlines()
    return [line for line in latte_lines if line and not re.match(r"[WEI]\d{4} |\*", line)]


def steps(folder: Path) -> int:
    """Return the step of the newest checkpoint below `folder`."""
    checkpoint_names = [path.name for path in folder.glob("runs/*/checkpoints/step-*")]
    return max((int(name.removeprefix("step-")) for name in checkpoint_names), default=0)


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files."""
    return [path for path in folder.rglob("*.tmp") if "checkpoints" not in path.parts]


def the_run(folder: Path) -> Path:
    (run_folder,) = (folder / "runs").iterdir()
    return run_folder


def assert_close_results(actual: Path, expected: Path) -> None:
    """Compare two runs: numbers may differ by rounding, texts and labels may not."""
    actual_prototypes, expected_prototypes = (
        load_file(each / "models/adapted/prototypes.safetensors") for each in (actual, expected)
    )
    for name, value in expected_prototypes.items():
        torch.testing.assert_close(actual_prototypes[name], value, rtol=0, atol=TOLERANCE)
    rows = [_metrics(each) for each in (actual, expected)]
    assert len(rows[0]) == len(rows[1])
    for actual_row, expected_row in zip(*rows, strict=True):
        assert actual_row.pop("event") == expected_row.pop("event")
        assert actual_row == pytest.approx(expected_row, rel=TOLERANCE, abs=TOLERANCE)
    assert_close_labels(actual, expected)
    name = "descriptions.jsonl"
    assert (actual / name).read_bytes() == (expected / name).read_bytes()


def assert_close_labels(actual: Path, expected: Path) -> None:
    """Compare the pseudo-labels of two runs: confidence may differ by rounding."""
    rows = [_rows(each / "pseudo_labels.csv") for each in (actual, expected)]
    confidence = [[float(row.pop("confidence")) for row in each] for each in rows]
    assert rows[0] == rows[1]
    assert confidence[0] == pytest.approx(confidence[1], rel=0, abs=TOLERANCE)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def _metrics(run: Path) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def folder_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.processes
def test_kill_of_one_process_ends_all_and_another_world_size_resumes(
    recipe: Path, tmp_path: Path
) -> None:
    expected, _, _ = run(recipe, *LONG, output=tmp_path / "alone")
    folder = folder_of(tmp_path, "together")
    killed = Together(recipe, folder, 2, *LONG)
    killed.kill_when(1, lambda: steps(folder) >= 7)
    code, _, complaints = killed.end(timeout=120)
    assert code != 0
    assert [line for line in complaints if line == LOST] == [LOST]
    assert any("the same command goes on" in line for line in complaints)
    assert leftovers(folder) == []
    assert 7 <= steps(folder) < 60
    resumed, _, progress = run(recipe, *LONG, output=folder / "runs")
    assert any(line.startswith("train: continuing after step") for line in progress.lines)
    assert_close_results(resumed, expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_give_the_results_of_one(
    recipe: Path, tmp_path: Path, count: int
) -> None:
    expected, _, _ = run(recipe, CONTROL, output=tmp_path / "alone")
    folder = folder_of(tmp_path, "together")
    code, output, complaints = Together(recipe, folder, count, CONTROL).end()
    assert (code, complaints) == (0, [])
    shared_run = the_run(folder)
    assert output.count("run folder: ") == output.count("report\t") == 1
    assert_close_results(shared_run, expected)
    names = [
        {path.relative_to(each).as_posix() for path in each.rglob("*") if path.is_file()}
        for each in (shared_run, expected)
    ]
    assert names[0] == names[1]

    times = {path: path.stat().st_mtime_ns for path in shared_run.rglob("*.safetensors")}
    code, output, complaints = Together(recipe, folder, count, CONTROL).end()
    assert (code, complaints) == (0, [])
    assert {path: path.stat().st_mtime_ns for path in shared_run.rglob("*.safetensors")} == times


@pytest.mark.slow
def test_several_processes_follow_the_verdict_of_the_first(
    recipe: Path, tmp_path: Path, fixed_guard: Path
) -> None:
    keeps = fixed(0)
    expected, _, _ = run(recipe, keeps, output=tmp_path / "alone")
    folder = folder_of(tmp_path, "together")
    path = os.pathsep.join((str(fixed_guard), str(REPOSITORY)))
    code, output, complaints = Together(recipe, folder, 2, keeps, PYTHONPATH=path).end()
    assert (code, complaints) == (0, [])
    assert "Kept zero-shot CLIP" in output
    shared_run = the_run(folder)
    for name in ("models/adapted/prototypes.safetensors", "pseudo_labels.csv"):
        assert (shared_run / name).read_bytes() == (expected / name).read_bytes(), name
    for place in (("train",), ("evaluate", "present")):
        assert recorded(shared_run, *place) == recorded(expected, *place)
    assert_close_results(shared_run, expected)
    names = [
        {path.name for path in (each / "models").rglob("*")} for each in (shared_run, expected)
    ]
    assert names[0] == names[1]


@pytest.mark.slow
def test_resume_after_main_process_is_killed_is_bit_identical(recipe: Path, tmp_path: Path) -> None:
    uninterrupted, folder = folder_of(tmp_path, "whole"), folder_of(tmp_path, "killed")
    assert Together(recipe, uninterrupted, 2, *LONG).end()[0] == 0
    killed = Together(recipe, folder, 2, *LONG)
    killed.kill_when(0, lambda: steps(folder) >= 7)
    code, _, complaints = killed.end(timeout=120)
    assert code != 0
    assert complaints.count(LOST) == 1
    assert Together(recipe, folder, 2, *LONG).end()[0] == 0
    assert_same_results(the_run(folder), the_run(uninterrupted))


@pytest.mark.slow
def test_kill_while_describing_loses_no_text_and_ends_all_processes(
    recipe: Path, tmp_path: Path, noting: Noting
) -> None:
    folder = folder_of(tmp_path, "together")
    hold = folder / "hold"
    hold.touch()
    changes = {"PYTHONPATH": f"{noting.plugin}{os.pathsep}{REPOSITORY}", "HOLD": str(hold)}
    describer_setting = "describer={use: noting, batch: 2}"
    killed = Together(recipe, folder, 2, describer_setting, **changes)
    killed.kill_when(1, lambda: len(noting.asked) >= 6)
    began = time.monotonic()
    code, _, complaints = killed.end(timeout=120)
    assert code != 0
    assert complaints.count(LOST) == 1
    assert time.monotonic() - began < 30
    hold.unlink()
    question_count = len(noting.asked)
    assert Together(recipe, folder, 2, describer_setting, **changes).end()[0] == 0
    assert len(set(noting.asked)) == 24
    assert len(noting.asked) <= 24 + question_count, "at most what was not stored is asked again"


@pytest.mark.slow
def test_kill_on_one_of_two_machines_ends_both(recipe: Path, tmp_path: Path) -> None:
    """Two torchruns on one machine simulate two machines."""
    folder = folder_of(tmp_path, "together")
    with socket.socket() as free_socket:
        free_socket.bind(("localhost", 0))
        port = free_socket.getsockname()[1]
    meeting = ("--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-id", "squares")
    meeting = (*meeting, "--rdzv-endpoint", f"localhost:{port}")
    long = (*LONG, "train.max_epochs=400")
    machines = [Together(recipe, folder, 1, *long, meeting=meeting) for _ in range(2)]
    deadline = time.monotonic() + 240
    while steps(folder) < 7:
        assert all(machine.process.poll() is None for machine in machines)
        assert time.monotonic() < deadline, "the moment to kill never came"
        time.sleep(0.01)
    victim, survivor = sorted(machines, key=lambda machine: 1 not in machine.workers())
    os.kill(victim.workers()[1], signal.SIGKILL)
    code, _, complaints = survivor.end(timeout=120)
    assert code != 0
    assert complaints.count(LOST) == 1
    assert victim.end(timeout=120)[0] != 0
    assert leftovers(folder) == []


FAILING = '''
import os, time
from latte.api import ComponentSpec, Describer, LatteError, NoOptions, hookimpl

class Failing(Describer):
    """Fail in the processes that FAILS names; in the second take SLOW seconds per batch."""
    fingerprint = "failing-1"
    batch_size = 64
    max_images = 4

    def __init__(self, options, context):
        super().__init__(options, context)
        if os.environ["RANK"] in os.environ["FAILS"]:
            raise LatteError("this machine has no such model", hint="install it")

    def describe(self, requests):
        if os.environ["RANK"] == "1":
            time.sleep(float(os.environ.get("SLOW", "0")))
        return ["a picture" for request in requests]

@hookimpl
def latte_components():
    return [ComponentSpec("describer", "failing", "failing_describer:Failing", "for tests")]
'''


def failing(recipe: Path, folder: Path, fails: str, **env: str) -> Together:
    """A run by two processes with the describer `failing`."""
    name, files = "failing_describer", {"failing_describer.py": FAILING}
    write_package(folder / "plugin", "failing-describer", {name: name}, files)
    path = f"{folder / 'plugin'}{os.pathsep}{REPOSITORY}"
    changes = {"PYTHONPATH": path, "FAILS": fails, **env}
    return Together(recipe, folder, 2, "describer=failing", **changes)


@pytest.mark.slow
@pytest.mark.parametrize("fails", ["1", "0", "01"])
def test_error_is_reported_once_and_ends_all_processes(
    recipe: Path, tmp_path: Path, fails: str
) -> None:
    folder = folder_of(tmp_path, "together")
    failed = failing(recipe, folder, fails)
    code, _, complaints = failed.end(timeout=120)
    assert code != 0
    assert complaints == ["error: this machine has no such model", "  install it"]
    assert leftovers(folder) == []


@pytest.mark.slow
def test_slow_describing_process_does_not_time_out(recipe: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "together")
    slow = failing(recipe, folder, "-", SLOW="25", LATTE_PATIENCE="15")
    code, _, complaints = slow.end()
    assert (code, complaints) == (0, [])


@pytest.mark.slow
def test_recipe_error_is_reported_once(recipe: Path, tmp_path: Path) -> None:
    code, _, complaints = Together(recipe, tmp_path, 2, "train.batch_sise=3").end()
    assert code != 0
    assert len([line for line in complaints if line.startswith("error: ")]) == 1
