"""`latte compare` on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command_line import Latte
from tests.helpers.comparison_folders import run_folder, write


@pytest.fixture(autouse=True)
def runs(tmp_path: Path) -> Path:
    """Two seeds of a recipe, and a run that was stopped."""
    folder = tmp_path / "runs"
    for seed, right in enumerate((640, 650)):
        run_folder(folder / f"animals-{seed}", right=(600, right), settings={"seed": seed})
    run_folder(folder / "stopped", stages=("data",))
    return folder


def test_a_table_on_stdout_and_the_skipped_on_stderr(latte: Latte) -> None:
    said = latte("compare", "runs")
    assert said.out.startswith("folder, 1,000 images\nmethod ")
    assert "64.5 ± 0.7" in said.out
    assert "skipped runs/stopped: this run is not finished" in said.err
    assert "finish it: latte run runs/stopped/recipe.yaml" in said.err


def test_runs_can_be_named_one_by_one(latte: Latte) -> None:
    said = latte("compare", "runs/animals-1")
    assert " 65.0 " in said.out
    assert said.err == ""


def test_files_are_written_beside_the_table(latte: Latte) -> None:
    files = ("--csv", "out/table.csv", "--html", "out/table.html", "--latex", "out/table.tex")
    said = latte("compare", "runs", *files)
    assert said.out.startswith("folder, 1,000 images")
    assert Path("out/table.csv").read_text().startswith("method,settings,dataset")
    assert Path("out/table.html").read_text().startswith("<!doctype html>")
    assert "wrote out/table.csv" in said.err
    assert Path("out/table.tex").read_text().startswith("% Written by `latte compare`.")
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"table.csv", "table.html", "table.tex"}


def test_latex_overwrites_only_latex(latte: Latte) -> None:
    for _ in range(2):
        latte("compare", "runs", "--latex", "table.tex")
    write(Path("paper.tex"), "\\documentclass{article}\n")
    said = latte("compare", "runs", "--latex", "paper.tex", code=2)
    assert "not overwritten" in said.err
    assert Path("paper.tex").read_text().startswith("\\documentclass")


def test_json_is_all_of_stdout(latte: Latte) -> None:
    data = json.loads(latte("compare", "runs", "--json").out)
    assert data["rows"][0]["seeds"] == [0, 1]
    assert data["skipped"][0]["folder"] == "runs/stopped"


def test_published_numbers_stand_beside(latte: Latte) -> None:
    write(Path("numbers.yaml"), "source: a paper\nrows: {animals: {folder: 70.7}}\n")
    said = latte("compare", "runs", "--against", "numbers.yaml")
    assert "published" in said.out.splitlines()[1]
    assert said.out.splitlines()[2].endswith("70.70")


def test_run_in_place_of_published_numbers_is_refused_with_the_command_for_runs(
    latte: Latte,
) -> None:
    said = latte("compare", "runs/animals-0", "--against", "runs/stopped", code=2)
    assert said.err.startswith("error: --against runs/stopped: this is a folder, and --against")
    assert (
        "To compare runs, name all of them: latte compare runs/animals-0 runs/stopped" in said.err
    )


def test_the_help_warns_about_published_numbers(latte: Latte) -> None:
    words = " ".join(latte("compare", "--help").out.split())
    assert "other models and splits" in words


def test_nothing_usable_is_a_mistake(latte: Latte) -> None:
    said = latte("compare", "runs/stopped", "nowhere", code=2)
    assert "there is no finished run" in said.err
    assert "nowhere: there is no such folder" in said.err


def test_a_file_that_cannot_be_written_is_a_mistake(latte: Latte, runs: Path) -> None:
    said = latte("compare", "runs", "--csv", runs / "animals-0" / "recipe.yaml" / "x", code=2)
    assert "recipe.yaml/x" in said.err
    assert "Traceback" not in said.err


def test_torch_is_not_loaded_for_a_table(runs: Path) -> None:
    script = (
        "import sys\n"
        "from latte.cli.main import run_command_line\n"
        f"assert run_command_line(['compare', {str(runs)!r}, '--html', 'x.html']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], env=dict(os.environ), cwd=runs, check=True)
