"""The reader of runs: lazy, each file once, without torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from latte.interfaces import LatteError, Verdict
from latte.interfaces.record import EvaluateFacts, TrainFacts
from latte.results.folder import RunFolder
from latte.results.rows import Rows
from latte.results.run import find_runs, open_finished, open_run
from tests.helpers.made_up_runs import run_folder
from tests.helpers.records import record, recorded


def test_reading_finished_runs_imports_no_torch() -> None:
    code = "import sys, latte.results.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_file_is_read_once_at_its_first_use(tmp_path: Path) -> None:
    run = open_run(run_folder(tmp_path / "run"))
    record = run.record
    assert [model.name for model in record.evaluate.models] == ["zero-shot", "adapted"]
    run.folder.results.path.unlink()
    assert run.record is record


def test_a_missing_file_is_an_error_only_when_it_is_needed(tmp_path: Path) -> None:
    run = open_run(run_folder(tmp_path / "run"))
    run.folder.results.path.unlink()
    with pytest.raises(LatteError, match=r"results\.json: this file is damaged"):
        _ = run.record
    with pytest.raises(LatteError, match="there is no trained model"):
        _ = run.class_names


def test_other_folder_is_an_error_that_names_run_folders_beside_it(tmp_path: Path) -> None:
    run_folder(tmp_path / "run")
    with pytest.raises(LatteError, match="run folders beside it: run"):
        open_run(tmp_path / "other")


def test_folder_inside_a_run_folder_is_an_error_that_names_the_run(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    for inside in ("models/adapted/model", "report/index.html"):
        with pytest.raises(LatteError, match=rf"part of the run folder {re.escape(str(run))}"):
            open_run(run / inside)
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(LatteError, match="run folders beside it: run"):
        open_run(tmp_path / "other")


def test_parent_of_a_run_folder_is_not_part_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_folder(tmp_path / "runs" / "birds")
    inside = run / "models/adapted/model"
    inside.mkdir(parents=True)
    for folder, parent in ((run, Path("..")), (inside, Path("../../../.."))):
        monkeypatch.chdir(folder)
        with pytest.raises(LatteError, match=rf"in it, the newest first: {parent}/birds$"):
            open_run(parent)


def test_name_of_a_run_one_folder_deeper_is_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder(tmp_path / "adapted" / "birds-[1a]")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LatteError, match=r"Did you mean adapted/birds-\[1a\]\?"):
        open_run(Path("birds-[1a]"))


def test_a_table_with_an_open_quote_is_damaged(tmp_path: Path) -> None:
    run = open_run(run_folder(tmp_path / "run"))
    run.folder.predictions.write_text('image,class_1,score_1\n1.jpg,cat,"0.5\n')
    with pytest.raises(LatteError, match=r"predictions\.csv: this file is damaged"):
        list(Rows(run.folder, ["cat"]).prediction_rows())


@pytest.mark.parametrize("power", [0, -1.0, 1e9])
def test_an_impossible_power_of_the_posterior_is_refused(tmp_path: Path, power: float) -> None:
    folder = run_folder(tmp_path / "run")
    values = {"scale": 50.0, "logit_scale": 100.0, "images": 9, "expected_accuracy": 0.5}
    record(folder, ("evaluate", "models", 1, "calibration"), {**values, "own_exponent": power})
    with pytest.raises(LatteError, match=r"damaged \(evaluate.models.1.calibration.own_exponent: "):
        _ = open_run(folder).record


@pytest.mark.parametrize("name", ["source.json", "state.json", "prototypes.safetensors"])
def test_a_folder_of_an_earlier_version_is_an_error_that_says_so(tmp_path: Path, name: str) -> None:
    folder = run_folder(tmp_path / "run")
    (folder / "results.json").rename(folder / name)
    with pytest.raises(LatteError, match="an earlier version of latte wrote this run folder"):
        open_run(folder)
    with pytest.raises(LatteError, match="make the run again"), RunFolder(folder).lock():
        pass


def test_facts_of_a_forgotten_stage_go_with_it(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    record(folder, ("train", "reliability"), "seven of eight")
    RunFolder(folder).results.forget("evaluate", "report")
    run_record = open_run(folder).record
    assert [*run_record.stages] == ["data", "zero-shot", "describe", "train", "judge"]
    assert run_record.evaluate == EvaluateFacts()
    assert run_record.train.reliability == "seven of eight"


def test_the_recipe_of_a_moved_run_is_where_it_moved(tmp_path: Path) -> None:
    def recipe(run: Path, recorded: Path) -> str:
        record(run, ("source",), {"recipe": str(recorded), "recipe_from_run": "../../a.yaml"})
        return str(open_run(run).recipe_path)

    old, new = tmp_path / "old" / "a.yaml", tmp_path / "new" / "a.yaml"
    run = run_folder(new.parent / "runs" / "run")
    assert recipe(run, old) == str(new)
    old.parent.mkdir()
    assert recipe(run, old) == str(old)
    new.touch()
    assert recipe(run, old) == str(new)
    old.touch()  # the run was moved alone, and `new` is another recipe
    assert recipe(run, old) == str(old)


def test_run_folders_are_found_one_level_deep(tmp_path: Path) -> None:
    for name in ("b", "a", "a.previous", "c/d"):
        run_folder(tmp_path / "runs" / name)
    runs = tmp_path / "runs"
    assert find_runs(runs) == [runs / "a", runs / "b"]
    assert find_runs(runs / "a.previous") == [runs / "a.previous"]
    assert find_runs(tmp_path / "absent") == find_runs(tmp_path) == []


def test_a_verdict_among_the_facts_of_training_is_read_as_a_stage_of_its_own(
    tmp_path: Path,
) -> None:
    """Earlier versions had no stage `judge`."""
    folder = run_folder(tmp_path / "run")
    stages = recorded(folder, "stages")
    record(folder, ["stages"], {name: stages[name] for name in stages if name != "judge"})
    record(folder, ["train"], {"verdict": {"strength": 0.0, "reason": "so"}, "trains_clip": True})
    run_record = open_finished(folder).record
    assert [*run_record.stages] == [*stages]
    assert run_record.judge.used == "zero-shot"
    assert run_record.train == TrainFacts(trains_clip=True)
    RunFolder(folder).results.forget("report")
    assert "verdict" not in recorded(folder, "train")
    assert recorded(folder, "judge", "verdict", "reason") == "so"


@pytest.mark.parametrize("stage", ["judge", "train"])
def test_a_forecast_in_the_verdict_of_an_earlier_version_is_left_out(
    tmp_path: Path, stage: str
) -> None:
    folder = run_folder(tmp_path / "run")
    verdict = {"strength": 1.0, "reason": "so", "forecast": "likely better"}
    record(folder, [stage], {"verdict": verdict})
    assert open_finished(folder).record.judge.verdict == Verdict(1.0, "so")
    RunFolder(folder).results.forget("report")
    assert recorded(folder, "judge", "verdict", "reason") == "so"
    assert "forecast" not in recorded(folder, "judge", "verdict")


@pytest.mark.parametrize("gain", [None, {"value": 0.2, "low": 0.0, "high": 0.3}])
def test_a_gain_that_an_earlier_version_expected_is_left_out(tmp_path: Path, gain: object) -> None:
    folder = run_folder(tmp_path / "run")
    record(folder, ["train"], {"trains_clip": True, "expected_gain": gain})
    assert open_finished(folder).record.train == TrainFacts(trains_clip=True)


@pytest.mark.parametrize("damaged", ["verdict", ["verdict"], {"verdict": 1}])
def test_a_damaged_record_of_an_earlier_version_is_refused(tmp_path: Path, damaged: object) -> None:
    folder = run_folder(tmp_path / "run")
    record(folder, ["train"], damaged)
    with pytest.raises(LatteError, match="this file is damaged"):
        _ = open_run(folder).record
