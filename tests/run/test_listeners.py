"""Reporters' hooks during a run; a failing reporter does not stop it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latte.interfaces import Figures, LatteError, StageEnd
from latte.run import training
from latte.run.listeners import Listeners
from tests.helpers.guards import installed
from tests.helpers.plugin_packages import write_package
from tests.helpers.recorded import RecordedProgress
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough

PLUGIN = '''\
"""A reporter that records the calls of its hooks, and fails in the hooks that FAILS names."""

import json
import os

from latte.api import ComponentSpec, Options, Reporter, hookimpl


@hookimpl
def latte_components():
    return [
        ComponentSpec(
            kind="reporter",
            name="diary",
            target="latte_diary:Diary",
            summary="writes down what it hears",
        )
    ]


class DiaryOptions(Options):
    fails_in: str = ""
    api_key: str = ""


class Diary(Reporter[DiaryOptions]):
    def note(self, hook, *details):
        with open(os.environ["DIARY"], "a") as file:
            file.write(json.dumps([hook, *details]) + "\\n")
        if hook == self.options.fails_in:
            raise ValueError("two\\nlines")

    def report(self, results):
        self.note("report")
        path = results.folder / "diary.txt"
        path.write_text("x")
        return [path]

    def on_run_start(self, run):
        self.note("run_start", run.name, str(run.folder), run.seed, run.recipe["reporters"])

    def on_stage_start(self, stage):
        self.note("stage_start", stage)

    def on_stage_end(self, stage):
        self.note("stage_end", stage.stage, stage.reused)

    def on_steps(self, steps):
        assert all(type(value) is float for one in steps for value in one.values.values())
        self.note("steps", [one.step for one in steps], sorted(steps[0].values))

    def on_epoch_end(self, epoch):
        self.note("epoch_end", epoch.epoch, epoch.step, sorted(epoch.values))

    def on_run_end(self):
        self.note("run_end")

    def on_run_failure(self, error):
        self.note("run_failure", type(error).__name__)
'''


class Diary:
    """The calls that the reporter recorded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[list[Any]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.path.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Diary]:
    folder = tmp_path / "plugin"
    files = {"latte_diary.py": PLUGIN}
    write_package(folder, "latte-diary", {"latte_diary": "latte_diary"}, files)
    monkeypatch.setenv("DIARY", str(tmp_path / "diary.jsonl"))
    with installed(folder):
        yield Diary(tmp_path / "diary.jsonl")


def reporters(recipe: Path, text: str) -> Path:
    recipe.write_text(f"{recipe.read_text()}reporters: [{text}, html]\n")
    return recipe


STAGES = ["data", "zero-shot", "describe", "train", "judge", "evaluate", "report"]


def test_reporter_hooks_are_called_from_start_to_end(recipe: Path, diary: Diary) -> None:
    folder, _, _ = run(reporters(recipe, "diary"))
    heard = diary.read()
    figures = ["agreement", "learning_rate", "logit_scale", "loss"]
    assert heard[0][:4] == ["run_start", "squares", str(folder), 0]
    assert [call[1] for call in heard if call[0] == "stage_start"] == STAGES
    assert [call[1:] for call in heard if call[0] == "stage_end"] == [
        [stage, False] for stage in STAGES
    ]
    training = heard[heard.index(["stage_start", "train"]) + 1 :]
    assert training[:6] == [
        ["steps", [1, 2], figures],
        ["steps", [3], figures],
        ["epoch_end", 0, 3, ["confidence", "margin", "top1"]],
        ["steps", [4], figures],
        ["steps", [5, 6], figures],
        ["epoch_end", 1, 6, ["confidence", "margin", "top1"]],
    ]
    assert heard[-4:] == [
        ["stage_start", "report"],
        ["report"],
        ["stage_end", "report", False],
        ["run_end"],
    ]


def test_reused_stages_are_reported_as_reused(recipe: Path, diary: Diary) -> None:
    run(reporters(recipe, "diary"), until="evaluate")
    assert diary.read()[-1] == ["run_end"]
    run(recipe)
    heard = diary.read()[1:]
    reused = [["stage_end", stage, True] for stage in STAGES[:-1]]
    assert heard[:6] == reused
    assert heard[6:] == [
        ["stage_start", "report"],
        ["report"],
        ["stage_end", "report", False],
        ["run_end"],
    ]


def test_failing_reporter_is_a_warning_and_the_run_goes_on(recipe: Path, diary: Diary) -> None:
    folder, results, progress = run(reporters(recipe, "{use: diary, fails_in: steps}"))
    assert results is not None
    assert (folder / "report" / "index.html").exists()
    assert [line for line in progress.lines if "warning" in line] == [
        "warning: reporter diary failed in on_steps (ValueError: two lines); "
        "the run goes on and calls no further hook of it"
    ]
    heard = [call[0] for call in diary.read()]
    assert heard.count("steps") == 1
    assert heard[-1] == "report"


def test_failing_run_calls_on_run_failure(
    recipe: Path, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise LatteError("no room")

    monkeypatch.setattr("latte.run.plan.adapt", fail)
    with pytest.raises(LatteError, match="no room"):
        run(reporters(recipe, "diary"))
    assert diary.read()[-2:] == [["stage_start", "train"], ["run_failure", "LatteError"]]


def test_controls_call_no_reporter_hooks(recipe: Path, diary: Diary) -> None:
    reporters(recipe, "diary").write_text(
        f"{recipe.read_text()}controls: {{alone: {{descriptions: [class], describer: null}}}}\n"
    )
    run(recipe)
    heard = diary.read()
    assert [call[1] for call in heard if call[0] == "stage_end"] == STAGES
    assert sum(call[0] == "run_start" for call in heard) == 1


def test_secrets_are_hidden_from_reporters(recipe: Path, diary: Diary) -> None:
    run(reporters(recipe, "{use: diary, api_key: s3cret}"), until="data")
    (start,) = [call for call in diary.read() if call[0] == "run_start"]
    assert start[4][0]["api_key"] == "(hidden)"


def test_a_resumed_run_repeats_the_steps_after_its_checkpoint(
    recipe: Path, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))

    def diagnose(*arguments: Any) -> Any:
        if next(calls) == 1:
            raise LatteError("stopped")
        return real(*arguments)

    real = training.diagnose
    monkeypatch.setattr(training, "diagnose", diagnose)
    with pytest.raises(LatteError, match="stopped"):
        run(reporters(recipe, "diary"))
    steps_before_stop = [call[1] for call in diary.read() if call[0] == "steps"]
    run(recipe)
    steps_after_resume = [call[1] for call in diary.read() if call[0] == "steps"]
    assert (steps_before_stop, steps_after_resume) == ([[1, 2], [3], [4], [5, 6]], [[5, 6]])


def test_metric_rows_are_reported_as_figures() -> None:
    class Kept:
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def on_steps(self, steps: Any) -> None:
            self.heard += steps

        def on_epoch_end(self, epoch: Any) -> None:
            self.heard.append(epoch)

        def on_stage_end(self, stage: Any) -> None:
            self.heard.append(stage)

    listener = Kept()
    listeners = Listeners([("kept", listener)], RecordedProgress())  # type: ignore[list-item]
    listeners.rows([{"event": "step", "step": 1, "epoch": 0, "loss": 2}])
    listeners.rows([{"event": "epoch", "step": 1, "epoch": 0, "top1": 0.5}])
    listeners.call("on_stage_end", StageEnd("train", 2.0, reused=True))
    assert listener.heard == [
        Figures(1, 0, {"loss": 2.0}),
        Figures(1, 0, {"top1": 0.5}),
        StageEnd("train", 2.0, reused=True),
    ]
