"""The reader of finished runs: lazy, each file once, without torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latte.interfaces import ExpectedGain, LatteError, QuestionCounts
from latte.results.finished import FinishedRun, open_run
from tests.helpers.comparison_folders import run_folder


def test_reading_finished_runs_imports_no_torch() -> None:
    code = "import sys, latte.results.summary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_file_is_read_once_at_its_first_use(tmp_path: Path) -> None:
    run = open_run(run_folder(tmp_path / "run"))
    found = run.evaluations
    assert [one.name for one in found] == ["zero-shot", "adapted"]
    run.folder.evaluation.unlink()
    assert run.evaluations is found


def test_a_missing_file_is_an_error_only_when_it_is_needed(tmp_path: Path) -> None:
    run = open_run(run_folder(tmp_path / "run"))
    run.folder.evaluation.unlink()
    assert run.source.recipe == "animals.yaml"
    assert run.verdict is None
    with pytest.raises(LatteError, match=r"evaluation\.json: this file is damaged"):
        _ = run.evaluations
    with pytest.raises(LatteError, match="there is no trained model"):
        _ = run.class_names


def test_other_folder_is_an_error_that_names_run_folders_beside_it(tmp_path: Path) -> None:
    run_folder(tmp_path / "run")
    with pytest.raises(LatteError, match="run folders beside it: run"):
        open_run(tmp_path / "other")


def test_folder_inside_a_run_folder_is_an_error_that_names_the_run(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    for inside in ("model", "report/index.html"):
        with pytest.raises(LatteError, match=rf"part of the run folder {re.escape(str(run))}"):
            open_run(run / inside)
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(LatteError, match="run folders beside it: run"):
        open_run(tmp_path / "other")


def test_parent_of_a_run_folder_is_not_part_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_folder(tmp_path / "runs" / "birds")
    (run / "model").mkdir(exist_ok=True)
    for folder, parent in ((run, Path("..")), (run / "model", Path("../.."))):
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
        list(run.prediction_rows())


@pytest.mark.parametrize("power", [0, -1.0, 1e9])
def test_an_impossible_power_of_the_posterior_is_refused(tmp_path: Path, power: float) -> None:
    run = open_run(run_folder(tmp_path / "run"))
    values = {"scale": 50.0, "logit_scale": 100.0, "images": 9, "expected_accuracy": 0.5}
    run.folder.calibration.write_text(json.dumps({**values, "own_exponent": power}))
    with pytest.raises(LatteError, match=r"damaged \(the exponent .* is not between"):
        _ = run.calibration


def with_questions(folder: Path, content: Any) -> FinishedRun:
    """Return a run with this `questions.json`."""
    run = open_run(run_folder(folder))
    run.folder.questions.write_text(json.dumps(content))
    return run


COUNTS: dict[str, Any] = {"purpose": "images", "questions": 3, "stored": 1, "unanswered": 0}


def test_counts_of_questions_are_read_with_and_without_an_expected_gain(tmp_path: Path) -> None:
    nothing = {"expected_gain": None, "reliability": None}
    plain = with_questions(tmp_path / "plain", {"counts": [COUNTS], **nothing})
    gain = {"value": 0.2, "low": 0.0, "high": 0.3, "used": True}
    known = {"counts": [COUNTS], "expected_gain": gain, "reliability": "ignored"}
    judged = with_questions(tmp_path / "judged", known)
    assert plain.questions == judged.questions == (QuestionCounts(**COUNTS),)
    assert plain.expected_gain is plain.reliability is None
    assert judged.expected_gain == ExpectedGain(0.2, 0.0, 0.3)
    assert judged.reliability == "ignored"


@pytest.mark.parametrize(("low", "high"), [(0.21, 0.3), (0.0, 0.1), (-2.0, 0.3)])
def test_an_impossible_expected_gain_is_refused(tmp_path: Path, low: float, high: float) -> None:
    gain = {"value": 0.2, "low": low, "high": high}
    content = {"counts": [COUNTS], "expected_gain": gain, "reliability": None}
    run = with_questions(tmp_path / "run", content)
    with pytest.raises(LatteError, match=r"damaged \(the expected gain is not within"):
        _ = run.expected_gain


def test_the_recipe_of_a_moved_run_is_where_it_moved(tmp_path: Path) -> None:
    def recipe(run: Path, recorded: Path) -> str:
        source = {"recipe": str(recorded), "limit": None, "recipe_from_run": "../../a.yaml"}
        (run / "source.json").write_text(json.dumps(source))
        return open_run(run).source.recipe

    old, new = tmp_path / "old" / "a.yaml", tmp_path / "new" / "a.yaml"
    run = run_folder(new.parent / "runs" / "run")
    assert recipe(run, old) == str(new)
    old.parent.mkdir()
    assert recipe(run, old) == str(old)
    new.touch()
    assert recipe(run, old) == str(new)
    old.touch()  # the run was moved alone, and `new` is another recipe
    assert recipe(run, old) == str(old)
