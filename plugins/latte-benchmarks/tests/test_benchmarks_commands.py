"""`latte datasets` lists, shows, checks and gets published datasets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import benchmark_trees as trees
import pytest
from latte_benchmarks.commands import datasets
from latte_benchmarks.facts import all_facts
from typer.testing import CliRunner

from latte.api import LatteError

Datasets = Callable[..., str]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Datasets:
    """Run `latte datasets ARGUMENTS`, which must end with `code`; returns its output."""
    monkeypatch.delenv("LATTE_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str | Path, code: int = 0) -> str:
        ended = CliRunner().invoke(datasets, [*map(str, arguments)])
        if isinstance(ended.exception, LatteError):
            assert code == ended.exception.exit_code
            return str(ended.exception)
        assert ended.exit_code == code, ended.output
        return ended.output

    return run


def test_the_list_fits_80_columns_and_has_every_dataset(call: Datasets) -> None:
    listed = call()
    assert max(map(len, listed.splitlines())) <= 80
    rows = {line.split()[0]: line.split() for line in listed.splitlines() if line.strip()}
    assert rows["eurosat"][1] == "https://github.com/phelber/EuroSAT"
    assert set(rows) >= {*all_facts()}
    assert "sun397            397   19,850  19,850  ?" in listed
    assert "LATTE_DATA is not set. Set it, or run `latte datasets get NAME" in listed


def test_the_list_shows_which_datasets_are_on_this_machine(
    call: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_DATA", str(tmp_path))
    trees.write_tree("dtd", tmp_path / "dtd")
    (tmp_path / "eurosat" / "2750").mkdir(parents=True)
    here = {line.split()[0]: line.split()[4] for line in call().splitlines()[1:11]}
    assert (here["dtd"], here["eurosat"], here["food101"]) == ("yes", "part", "no")


@pytest.mark.parametrize("name", all_facts())
def test_show_prints_layout_templates_prompts_and_download(call: Datasets, name: str) -> None:
    shown, facts = call("show", name), all_facts()[name]
    page = " ".join(shown.split())
    for text in (facts.released, facts.coop, facts.image_prompt, facts.group_prompt, facts.source):
        assert text in page
    assert f"$LATTE_DATA/{facts.folder}" in page
    assert all(f"{folder}/" in page for folder in facts.needed_folders)
    assert (f"latte datasets get {name}" in page) == bool(facts.torchvision)
    assert facts.torchvision or facts.by_hand in page
    assert max(map(len, shown.splitlines())) <= 80


def test_check_exits_with_2_and_names_missing_files(call: Datasets, tmp_path: Path) -> None:
    printed = call("check", "dtd", "--root", tmp_path, code=2)
    assert "error the folder images/ is missing" in printed
    assert printed.rstrip().endswith("It cannot be used like this.")
    facts = trees.write_tree("dtd", tmp_path)
    (tmp_path / facts.split).rename(tmp_path / "own.json")
    printed = call("check", "dtd", "--root", tmp_path, "--split", "own.json")
    assert "ok    all 12 images of the split are there" in printed


def test_control_characters_of_a_split_are_not_printed(call: Datasets, tmp_path: Path) -> None:
    facts = trees.write_tree("dtd", tmp_path)
    split = (tmp_path / facts.split).read_text().replace("banded_0001", "\\u001b[2J\\u202e")
    (tmp_path / "own.json").write_text(split)
    printed = call("check", "dtd", "--root", tmp_path, "--split", "own.json", code=2)
    assert "such as banded/\ufffd[2J\ufffd.jpg" in printed
    assert "\x1b" not in printed


def test_check_without_root_and_variable_is_an_error(call: Datasets) -> None:
    assert "Add --root DIR, or set LATTE_DATA" in call("check", "dtd", code=2)


def test_get_without_the_split_file_names_its_page(call: Datasets, tmp_path: Path) -> None:
    trees.write_images(all_facts()["eurosat"], tmp_path)
    printed = call("get", "eurosat", "--root", tmp_path, code=2)
    assert "error the file split_zhou_EuroSAT.json is missing" in printed
    assert "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md" in printed


def test_latte_lists_and_checks_datasets_without_torch(tmp_path: Path) -> None:
    trees.write_tree("dtd", tmp_path)
    program = (
        "import runpy, sys\n"
        "try: runpy.run_module('latte', run_name='__main__')\n"
        "finally: print('torch' in sys.modules)"
    )
    for arguments, code in (((), 0), (("check", "dtd", "--root", str(tmp_path)), 2)):
        command = [sys.executable, "-c", program, "datasets", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == code, ended.stderr
        assert "dtd" in ended.stdout
        assert ended.stdout.splitlines()[-1] == "False"
