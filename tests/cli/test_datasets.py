"""`latte datasets` lists, shows, checks and gets published datasets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.components.datasets.published.facts import all_facts
from tests.helpers import dataset_trees

Datasets = Callable[..., str]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Datasets:
    """Run `latte datasets ARGUMENTS`, which must end with `code`; returns its output."""
    monkeypatch.delenv("LATTE_DATA", raising=False)

    def run(*arguments: str | Path, code: int = 0) -> str:
        ended = run_command_line(["datasets", *map(str, arguments)])
        captured = capsys.readouterr()
        assert ended == code, captured.out + captured.err
        assert "Traceback" not in captured.err
        return captured.out + captured.err if code else captured.out

    return run


def test_the_list_fits_80_columns_and_has_every_dataset(call: Datasets) -> None:
    listed = call()
    assert max(map(len, listed.splitlines())) <= 80
    rows = {line.split()[0]: line.split() for line in listed.splitlines() if line.strip()}
    assert rows["eurosat"][1] == "https://github.com/phelber/EuroSAT"
    assert set(rows) >= {*all_facts()}
    assert "sun397         397      19,850  19,850  ?" in listed
    assert "LATTE_DATA is not set. Set it, or run `latte datasets get eurosat" in listed


def test_the_list_shows_which_datasets_are_on_this_machine(
    call: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_DATA", str(tmp_path))
    dataset_trees.write_tree("dtd", tmp_path / "dtd")
    (tmp_path / "eurosat" / "2750").mkdir(parents=True)
    here = {line.split()[0]: line.split()[4] for line in call().splitlines()[1:11]}
    assert (here["dtd"], here["eurosat"], here["food101"]) == ("yes", "part", "no")


@pytest.mark.parametrize("name", all_facts())
def test_show_prints_layout_templates_prompts_and_download(call: Datasets, name: str) -> None:
    page, facts = " ".join(call("show", name).split()), all_facts()[name]
    for text in (facts.released, facts.coop, facts.image_prompt, facts.group_prompt, facts.source):
        assert text in page
    assert f"$LATTE_DATA/{facts.folder}" in page
    assert all(f"{folder}/" in page for folder in facts.needed_folders)
    assert (f"latte datasets get {name}" in page) == bool(facts.torchvision)


def test_check_exits_with_2_and_names_missing_files(call: Datasets, tmp_path: Path) -> None:
    said = call("check", "dtd", "--root", tmp_path, code=2)
    assert "error the folder images/ is missing" in said
    assert said.rstrip().endswith("It cannot be used like this.")
    facts = dataset_trees.write_tree("dtd", tmp_path)
    (tmp_path / facts.split).rename(tmp_path / "own.json")
    said = call("check", "dtd", "--root", tmp_path, "--split", "own.json")
    assert "ok    all 12 images of the split are there" in said


def test_check_without_root_and_variable_is_an_error(call: Datasets) -> None:
    assert "Add --root DIR, or set LATTE_DATA" in call("check", "dtd", code=2)


def test_unknown_datasets_suggest_the_nearest(call: Datasets) -> None:
    assert 'Did you mean "oxford-pets"?' in call("show", "oxford_pets", code=2)
    assert 'Did you mean "check"?' in call("chek", code=2)


def test_get_writes_a_missing_split_and_checks(call: Datasets, tmp_path: Path) -> None:
    dataset_trees.write_images(all_facts()["eurosat"], tmp_path)
    said = call("get", "eurosat", "--root", tmp_path)
    assert "Made by latte as CoOp's code does it" in said
    assert "ok    all 12 images of the split are there" in said


def test_listing_and_checking_do_not_import_torch(tmp_path: Path) -> None:
    dataset_trees.write_tree("dtd", tmp_path)
    program = (
        "import sys; from latte.cli.main import run_command_line as run\n"
        f"run(['datasets']); run(['datasets', 'check', 'dtd', '--root', {str(tmp_path)!r}])\n"
        "print('torch' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "False"
