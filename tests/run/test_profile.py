"""`latte run --profile` measures times, and does not change results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from latte.cli.run import print_profile
from latte.run import profile as profiles
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough


@pytest.fixture(autouse=True)
def known_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "matmul_throughput", lambda *a, **k: 1e9)


def read(folder: Path) -> dict[str, Any]:
    profile: dict[str, Any] = json.loads((folder / "profile.json").read_text())
    return profile


def test_a_profile_changes_neither_results_nor_identity(recipe: Path, tmp_path: Path) -> None:
    plain, _, _ = run(recipe, output=tmp_path / "plain")
    folder, _, _ = run(recipe, output=tmp_path / "profiled", profile=True)
    assert folder.name == plain.name
    assert_same_results(plain, folder)
    assert not (plain / "profile.json").exists()
    profile = read(folder)
    assert [stage["name"] for stage in profile["stages"]][:2] == ["data", "zero-shot"]
    assert profile["steps"]["steps"] == 3
    assert profile["steps"]["timed_alone"]
    assert profile["steps"]["images"] == 12
    assert sum(part["seconds"] for part in profile["steps"]["parts"]) == pytest.approx(
        profile["steps"]["seconds"]
    )
    train = next(stage for stage in profile["stages"] if stage["name"] == "train")
    reported = profile["steps"]["seconds"] + profile["steps"]["looked_into_seconds"]
    assert reported + sum(profile["beside_steps"].values()) == pytest.approx(
        train["seconds"], abs=0.5
    )
    assert (folder / profile["trace"]).exists()


def test_profile_marks_reused_stages(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _, _ = run(recipe, profile=True)
    steps = read(folder)["steps"]
    run(recipe, profile=True)
    repeated = read(folder)
    assert all(stage["reused"] for stage in repeated["stages"])
    assert repeated["steps"] == steps
    print_profile(folder / "profile.json")
    shown = capsys.readouterr().out
    assert "\ntrain (reused) " in shown
    assert "training steps of an earlier run" in shown


def test_a_run_that_was_not_measured_has_no_steps_to_show(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(recipe)
    folder, _, _ = run(recipe, profile=True)
    assert read(folder)["steps"] is None
    print_profile(folder / "profile.json")
    assert "training was reused, so that no step was measured" in capsys.readouterr().out


def test_too_few_steps_are_shown_with_what_was_counted(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, _ = run(recipe, "train.max_steps=1", profile=True)
    assert not read(folder)["steps"]["timed_alone"]
    print_profile(folder / "profile.json")
    assert "takes longer" in " ".join(capsys.readouterr().out.split())


def test_the_table_fits_a_terminal(recipe: Path) -> None:
    from latte.cli.main import app

    result = CliRunner().invoke(app, ["run", str(recipe), "--profile", "--quiet"])
    assert result.exit_code == 0, result.output
    table = result.output[result.output.index("stage ") :].splitlines()
    assert max(map(len, table[:-1])) <= 80
    for word in ("waiting for images", "image tower", "optimiser", "whole step", "peak memory"):
        assert word in result.output
