"""The plan of stages: what a changed input repeats, and a stage between two others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.results.stages import STAGES
from latte.run.identity import RunInputs
from latte.run.plan import JUDGE, PLAN, TRAIN
from latte.run.result import StageResult
from latte.run.stages import Job, Stage, first_stages, stage_fingerprints
from tests.helpers.guards import fixed
from tests.helpers.recorded import RecordedProgress
from tests.helpers.records import recorded
from tests.helpers.whole_runs import assert_same_results, run

RECIPE = """
backbone: {model: x}
dataset: {use: folder, root: a, classes: [b, c]}
labels: [frozen]
loss: contrastive
"""


def reused(progress: RecordedProgress) -> list[str]:
    return [line.partition(":")[0] for line in progress.lines if ": reused" in line]


def worked_on(progress: RecordedProgress) -> set[str]:
    return {task.name for task in progress.tasks if not task.name.startswith("check ")}


def test_the_plan_has_the_stages_of_the_record() -> None:
    assert tuple(stage.name for stage in PLAN) == STAGES


class TestFingerprints:
    @pytest.fixture
    def inputs(self, tmp_path: Path) -> RunInputs:
        path = tmp_path / "recipe.yaml"
        path.write_text(RECIPE)
        return RunInputs(load_recipe(path, load_registry()), "images", "backbone")

    @pytest.mark.parametrize(
        ("change", "first_stage"),
        [
            ({"images": "others"}, "data"),
            ({"backbone": "another"}, "zero-shot"),
            ({"encoders": ["another"]}, "zero-shot"),
            ({"true_labels": (0, 1)}, "describe"),
            ({"given_labels": (0, -1)}, "train"),
        ],
    )
    def test_an_input_changes_the_stage_that_uses_it_and_all_later_ones(
        self, inputs: RunInputs, change: dict[str, object], first_stage: str
    ) -> None:
        fingerprints = stage_fingerprints(PLAN, inputs)
        changed_fingerprints = stage_fingerprints(PLAN, replace(inputs, **change))  # type: ignore[arg-type]
        changed = [name for name in STAGES if fingerprints[name] != changed_fingerprints[name]]
        assert changed == [*STAGES[STAGES.index(first_stage) :]]

    def test_a_stage_between_two_others_changes_the_later_ones(self, inputs: RunInputs) -> None:
        fingerprints = stage_fingerprints(PLAN, inputs)
        plan = with_extra(Stage[None]("extra", no_result))
        extended = stage_fingerprints(plan, inputs)
        assert [*extended] == ["data", "zero-shot", "describe", "train", "extra", *STAGES[4:]]
        changed = [name for name in STAGES if fingerprints[name] != extended[name]]
        assert changed == [*STAGES[4:]]


def no_result(job: Job) -> StageResult:
    return StageResult([])


def with_extra(extra: Stage[None]) -> Sequence[Stage[object]]:
    """Return the plan with a stage between `train` and `judge`."""
    trained = first_stages(PLAN, TRAIN.name)
    return (*trained, extra, *PLAN[len(trained) :])


@pytest.mark.thorough
def test_a_stage_between_two_others_is_one_value(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(job: Job) -> StageResult:
        path = job.workspace.folder.path / "learners.txt"
        path.write_text(str(len(job.result(TRAIN).members)))
        return StageResult([path])

    def plan(setting: str) -> None:
        extra = Stage[None]("count", count, inputs=lambda inputs: [setting])
        monkeypatch.setattr("latte.run.runner.PLAN", with_extra(extra))

    plan("first")
    folder, results, _ = run(recipe)
    assert results is not None and [*results.record.stages] == [*STAGES[:4], "count", *STAGES[4:6]]
    assert (folder / "learners.txt").read_text() == "1"
    _, _, progress = run(recipe)
    assert reused(progress) == [*STAGES[:4], "count", *STAGES[4:]]
    plan("second")
    _, _, progress = run(recipe)
    assert reused(progress) == [*STAGES[:4]]
    assert "count: its inputs have changed, so it is done again" in progress.lines


@pytest.mark.thorough
@pytest.mark.usefixtures("fixed_guard")
class TestChanges:
    def test_a_changed_guard_only_judges_again(self, recipe: Path, tmp_path: Path) -> None:
        folder, _, _ = run(recipe, fixed(1))
        stages = recorded(folder, "stages")
        files = [path for path in folder.glob("checkpoints/**/*") if path.is_file()]
        assert files
        times = [path.stat().st_mtime_ns for path in files]
        repeated, results, progress = run(recipe, fixed(0))
        assert repeated == folder
        assert reused(progress) == ["data", "zero-shot", "describe", "train"]
        assert not {name for name in worked_on(progress) if name.startswith(("encode", "train"))}
        assert [path.stat().st_mtime_ns for path in files] == times
        for stage in ("data", "zero-shot", "describe", "train"):
            assert recorded(folder, "stages", stage) == stages[stage]
        assert results is not None and results.record.judge.used == "zero-shot"
        fresh, _, _ = run(recipe, fixed(0), output=tmp_path / "whole")
        assert_same_results(folder, fresh)

    def test_a_changed_reporter_does_not_judge_again(self, recipe: Path) -> None:
        run(recipe, fixed(1))
        _, _, progress = run(recipe, fixed(1), "reporters=[]")
        assert reused(progress) == [*STAGES[:-1]]

    def test_a_run_before_its_verdict_is_not_opened(
        self, recipe: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, _, _ = run(recipe, fixed(0), until="train")
        arguments = ["predict", str(folder), str(recipe.parent / "test"), "--quiet"]
        assert run_command_line(arguments) == 2
        error_output = capsys.readouterr().err
        assert "this run is not finished (stage judge is missing)" in error_output
        assert "finish it: latte run" in error_output
        run(recipe, fixed(0), until=JUDGE.name)
        assert run_command_line(arguments) == 0
