"""`latte compare` on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmark_runs import run_folder, write

from conftest import Call

FILES = {"table.csv": "--csv", "table.html": "--html", "table.tex": "--latex"}
STARTS = {
    "table.csv": "method,settings,dataset",
    "table.html": "<!doctype html>",
    "table.tex": "% Written by `latte compare`.",
}


@pytest.fixture(autouse=True)
def runs(tmp_path: Path) -> Path:
    """Two seeds of a recipe, and a run that was stopped."""
    folder = tmp_path / "runs"
    for seed, right in enumerate((640, 650)):
        run_folder(folder / f"animals-{seed}", right=(600, right), settings={"seed": seed})
    run_folder(folder / "stopped", stages=("data",))
    return folder


def test_a_table_on_stdout_and_the_skipped_on_stderr(latte: Call) -> None:
    printed = latte("compare", "runs")
    assert printed.out.startswith("folder, 1,000 images\nmethod ")
    assert "64.5 ± 0.7" in printed.out
    assert "skipped runs/stopped: this run is not finished" in printed.err
    assert "finish it: latte run runs/stopped/recipe.yaml" in printed.err


def test_runs_can_be_named_one_by_one(latte: Call) -> None:
    printed = latte("compare", "runs/animals-1")
    assert " 65.0 " in printed.out
    assert printed.err == ""


def test_files_are_written_beside_the_table(latte: Call, tmp_path: Path) -> None:
    options = [part for name, option in FILES.items() for part in (option, f"out/{name}")]
    printed = latte("compare", "runs", *options)
    assert printed.out.startswith("folder, 1,000 images")
    assert "wrote out/table.csv" in printed.err
    assert {path.name for path in Path("out").iterdir()} == {*FILES}
    for name, start in STARTS.items():
        assert Path("out", name).read_text().startswith(start)


@pytest.mark.parametrize(("name", "option"), FILES.items())
@pytest.mark.parametrize(
    "content", [b"name: animals\n", b"image,label\n1.jpg,cat\n", b"<!doctype html>\n<p>mine", b"i"]
)
def test_only_results_of_the_same_kind_are_replaced(
    name: str, option: str, content: bytes, latte: Call
) -> None:
    for _ in range(2):
        latte("compare", "runs", option, name)
    Path(name).write_bytes(content)
    printed = latte("compare", "runs", option, name, code=2)
    assert f"{name}: this is another kind of file, and is not overwritten" in printed.err
    assert Path(name).read_bytes() == content
    latte("compare", "runs", option, name, "--force")
    assert Path(name).read_text().startswith(STARTS[name])


def test_published_numbers_stand_beside(latte: Call) -> None:
    write(Path("numbers.yaml"), "source: a paper\nrows: {animals: {folder: 70.7}}\n")
    printed = latte("compare", "runs", "--against", "numbers.yaml")
    assert "published" in printed.out.splitlines()[1]
    assert printed.out.splitlines()[2].endswith("70.70")


def test_methods_and_datasets_get_other_names(latte: Call) -> None:
    printed = latte("compare", "runs", "--names", "animals=LatteCLIP,folder=Photos of pets")
    assert printed.out.startswith("Photos of pets, 1,000 images\n")
    assert "\nLatteCLIP " in printed.out
    printed = latte("compare", "runs", "--names", "animal=x", code=2)
    assert '--names: no row and no dataset is called "animal"' in printed.err
    assert 'Did you mean "animals"?' in printed.err
    assert (
        '"animals" is not NAME=TEXT' in latte("compare", "runs", "--names", "animals", code=2).err
    )


def test_run_in_place_of_published_numbers_is_refused_with_the_command_for_runs(
    latte: Call,
) -> None:
    printed = latte("compare", "runs/animals-0", "--against", "runs/stopped", code=2)
    assert printed.err.startswith("error: --against runs/stopped: this is a folder, and --against")
    assert (
        "To compare runs, name all of them: latte compare runs/animals-0 runs/stopped"
        in printed.err
    )


def test_the_help_warns_about_published_numbers(latte: Call) -> None:
    words = " ".join(latte("compare", "--help").out.replace("│", " ").split())
    assert "other models and splits" in words


def test_nothing_usable_is_a_mistake(latte: Call) -> None:
    printed = latte("compare", "runs/stopped", "nowhere", code=2)
    assert "there is no finished run" in printed.err
    assert "nowhere: there is no such folder" in printed.err


def test_a_file_that_cannot_be_written_is_a_mistake(latte: Call, runs: Path) -> None:
    printed = latte("compare", "runs", "--csv", runs / "animals-0" / "recipe.yaml" / "x", code=2)
    assert "recipe.yaml/x" in printed.err


def test_torch_is_not_loaded_for_a_table(runs: Path) -> None:
    program = (
        "import runpy, sys\n"
        f"sys.argv = ['latte', 'compare', {str(runs)!r}, '--html', 'x.html']\n"
        "try: runpy.run_module('latte', run_name='__main__')\n"
        "finally: print('torch' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=runs, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "False"
