"""kill -9 at any moment, run again: the result is that of a run that nobody killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.run.runs import assert_same_results, environment

SLOW_DESCRIBER = '''
import os, time
from pathlib import Path
from latte.api import ComponentSpec, Describer, NoOptions, hookimpl

class Slow(Describer):
    """Takes its time, and notes everything that it is asked."""
    batch_size = 2
    fingerprint = "slow-1"
    max_images = 4

    def describe(self, requests):
        time.sleep(0.05)
        texts = ["pictures " + " ".join(i.key[:6] for i in r.images) for r in requests]
        with Path(os.environ["ASKED"]).open("a") as file:
            file.writelines(text + "|" + r.prompt + "\\n" for text, r in zip(texts, requests))
        return texts

@hookimpl
def latte_components():
    return [ComponentSpec("describer", "slow", "slow_describer:Slow", "for tests")]
'''

CHANGES = (
    "--set=describer=slow",
    "--set=train.max_epochs=20",
    "--set=train.checkpoint_every=1",
    "--set=train.evaluate_every=5",
)


class Killable:
    """`latte run` in processes of its own, each in a folder of its own."""

    def __init__(self, recipe: Path, folder: Path) -> None:
        self.recipe = recipe
        self.folder = folder
        folder.mkdir()
        plugin = folder / "plugin"
        (plugin / "slow_describer-1.0.dist-info").mkdir(parents=True)
        (plugin / "slow_describer.py").write_text(SLOW_DESCRIBER)
        about = plugin / "slow_describer-1.0.dist-info"
        (about / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: slow-describer\nVersion: 1.0\n"
        )
        (about / "entry_points.txt").write_text(
            "[latte.plugins]\nslow_describer = slow_describer\n"
        )

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "latte", "run", str(self.recipe), "--quiet", *CHANGES],
            cwd=self.folder,
            env={
                **environment(self.folder),
                "PYTHONPATH": str(self.folder / "plugin"),
                "ASKED": str(self.folder / "asked.txt"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self) -> Path:
        process = self.start()
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        (run_folder,) = (self.folder / "runs").iterdir()
        return run_folder

    def kill_when(self, ready: Callable[[], bool]) -> None:
        process = self.start()
        deadline = time.monotonic() + 120
        while not ready():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "the moment to kill never came"
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL

    def asked(self) -> list[str]:
        path = self.folder / "asked.txt"
        return path.read_text().splitlines() if path.exists() else []

    def steps(self) -> int:
        found = [path.name for path in self.folder.glob("runs/*/checkpoints/step-*")]
        return max((int(name.removeprefix("step-")) for name in found), default=0)


def test_killed_while_describing_and_while_training_nothing_is_lost(
    recipe: Path, tmp_path: Path
) -> None:
    whole = Killable(recipe, tmp_path / "whole")
    expected = whole.finish()

    killed = Killable(recipe, tmp_path / "killed")
    killed.kill_when(lambda: len(killed.asked()) >= 6)
    killed.kill_when(lambda: killed.steps() >= 7)
    assert_same_results(killed.finish(), expected)

    # A kill can fall between an answer and its record: at most that one batch is asked again.
    times = Counter(killed.asked())
    assert times.keys() == set(whole.asked())
    assert sum(times.values()) <= len(times) + 2


@pytest.mark.slow
def test_killed_ten_times_at_random_moments_nothing_is_lost(recipe: Path, tmp_path: Path) -> None:
    expected = Killable(recipe, tmp_path / "whole").finish()
    killed = Killable(recipe, tmp_path / "killed")
    random = Random(0)

    def done() -> int:
        return len(killed.asked()) + killed.steps()

    for _ in range(10):
        goal, pause = done() + random.randint(1, 6), random.uniform(0.0, 0.05)

        def reached(goal: int = goal, pause: float = pause) -> bool:
            if done() < goal:
                return False
            time.sleep(pause)
            return True

        killed.kill_when(reached)
    assert_same_results(killed.finish(), expected)
