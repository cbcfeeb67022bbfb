"""`latte describe --shard`: parallel workers, one of which may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.distributed import local_device
from latte.interfaces import LatteError
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from tests.helpers.scripted_describer import Noting
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough

USE = ("--set", "describer={use: noting, batch: 2}")
REQUESTS = 24
"""Requests: twelve images, and a group for each."""


@pytest.fixture(autouse=True)
def no_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def describe(recipe: Path, *arguments: str) -> int:
    return run_command_line(["describe", str(recipe), *USE, "--quiet", *arguments])


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_after_all_shards_a_run_finds_every_text(
    recipe: Path, noting: Noting, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = []
    for shard in ("1/3", "2/3", "3/3", "2/3"):
        assert describe(recipe, "--shard", shard) == 0
        outputs.append(capsys.readouterr().out)
    sizes = [int(line.split(": ")[1].split(" of ")[0]) for line in outputs]
    assert sum(sizes[:3]) == REQUESTS
    assert outputs[1] == (
        f"shard 2/3: {sizes[1]} of {REQUESTS} requests, {sizes[1]} written, 0 were there\n"
    )
    assert outputs[3] == (
        f"shard 2/3: {sizes[1]} of {REQUESTS} requests, 0 written, {sizes[1]} were there\n"
    )
    (folder,) = Path("runs").iterdir()
    assert files(folder) == {f"shards/{i}-of-3/.lock" for i in (1, 2, 3)}

    questions = noting.asked
    assert len(questions) == len(set(questions)) == REQUESTS
    assert run_command_line(["run", str(recipe), *USE, "--quiet", "--until", "describe"]) == 0
    assert noting.asked == questions
    assert (folder / "descriptions.jsonl").exists()


def test_a_shard_works_while_the_run_is_locked_and_not_twice_at_once(
    recipe: Path, noting: Noting, capsys: pytest.CaptureFixture[str]
) -> None:
    from latte.results.folder import RunFolder
    from latte.run.workspace import run_folder

    loaded = load_recipe(recipe, load_registry(), [USE[1]])
    folder = run_folder(loaded, None)
    with folder.lock():
        assert describe(recipe, "--shard", "1/2") == 0
        with RunFolder(folder.path / "shards" / "1-of-2").lock():
            assert describe(recipe, "--shard", "1/2") == 2
            assert "another process is working" in capsys.readouterr().err
            assert describe(recipe, "--shard", "2/2") == 0
    assert len(noting.asked) == REQUESTS


def test_torchrun_gives_every_process_a_shard_of_its_own(
    recipe: Path,
    noting: Noting,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert describe(recipe) == 0
        assert capsys.readouterr().out.startswith(f"shard {int(rank) + 1}/2: ")
    assert len(noting.asked) == len(set(noting.asked)) == REQUESTS


@pytest.mark.parametrize(
    ("device", "rank", "gpus", "expected"),
    [
        ("auto", "3", True, "cuda:3"),
        ("auto", "3", False, "auto"),
        ("auto", None, True, "auto"),
        ("cpu", "3", True, "cpu"),
        ("cuda", "1", True, "cuda:1"),
        ("cuda:0", "1", True, "cuda:0"),
    ],
)
def test_each_process_on_a_machine_takes_its_own_gpu(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    rank: str | None,
    gpus: bool,
    expected: str,
) -> None:
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert local_device(device) == expected


def test_more_processes_than_gpus_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "4")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    with pytest.raises(LatteError, match="process 5 on a machine with 4 GPU"):
        local_device("cuda")
    assert local_device("cpu") == "cpu"


def test_invalid_shard_is_an_error_before_images_are_read(
    recipe: Path, noting: Noting, capsys: pytest.CaptureFixture[str]
) -> None:
    assert describe(recipe, "--shard", "3/2") == 2
    assert "--shard: `3/2` is no shard" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_shard_reports_refusals_and_counts(
    recipe: Path, noting: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUSE", "")
    everything = ["describe", str(recipe), *USE, "--shard", "1/2", "--quiet"]
    assert run_command_line(everything) == 0
    question_count = len(noting.asked)
    assert run_command_line(everything) == 0
    assert len(noting.asked) == question_count
    monkeypatch.setenv("REFUSE", "-")
    assert run_command_line([*everything, "--ask-again"]) == 0
    assert len(noting.asked) == 2 * question_count


@pytest.mark.slow
def test_of_two_workers_one_is_killed_and_no_more_than_its_open_batch_is_lost(
    recipe: Path, noting: Noting
) -> None:
    hold = noting.folder / "hold"
    hold.touch()
    workers = [
        noting.start("describe", recipe, *USE, "--shard", f"{i}/2", "--quiet", HOLD=str(hold))
        for i in (1, 2)
    ]
    victim, survivor = workers
    wait_until(lambda: all(len(noting.asked_by(worker.pid)) == 4 for worker in workers), workers)
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    hold.unlink()
    output, _ = survivor.communicate(timeout=120)
    assert survivor.returncode == 0, output
    asked_before_kill = Counter(noting.asked)
    assert set(asked_before_kill.values()) == {1}
    assert len(asked_before_kill) < REQUESTS

    later_workers = [
        noting.start("describe", recipe, *USE, "--shard", f"{i}/3", "--quiet") for i in (1, 2, 3)
    ]
    for worker in later_workers:
        output, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0, output
    times_asked = Counter(noting.asked)
    twice = {question for question, times in times_asked.items() if times > 1}
    assert len(times_asked) == REQUESTS
    assert twice == set(noting.asked_by(victim.pid)[2:]), "its first batch was stored"

    asked_by_shards = noting.asked
    run(recipe, USE[1], until="describe")
    assert noting.asked == asked_by_shards


def wait_until(ready: Callable[[], bool], workers: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < deadline, "the moment to kill never came"
        assert all(worker.poll() is None for worker in workers), (
            "a worker ended before it was killed"
        )
        time.sleep(0.005)
