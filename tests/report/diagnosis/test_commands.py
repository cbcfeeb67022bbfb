"""`latte diagnose` on the command line, on runs of a tiny CLIP."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from latte.interfaces import Verdict
from tests.helpers.command_line import Latte

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def finished() -> dict[str, Path]:
    """Hold the run that the first test makes, of which the others take copies."""
    return {}


@pytest.fixture
def run(finished: dict[str, Path], squares: Path, latte: Latte) -> Path:
    if not finished:
        latte("run", squares, "--quiet", "--set", "output=original")
        (folder,) = Path("original").iterdir()
        finished["run"] = folder.absolute()
    copy = Path("runs") / finished["run"].name
    shutil.copytree(finished["run"], copy)
    return copy


def diagnosis(latte: Latte, *runs: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(latte("diagnose", *runs, "--json", "--quiet").out)
    return found


def copies(run: Path, gains: list[int]) -> list[Path]:
    """Copy a run with other seeds, and with these numbers of right answers after adapting."""
    made = []
    for number, right in enumerate(gains):
        folder = run.with_name(f"copy-{number}")
        shutil.copytree(run, folder)
        recipe = folder / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("seed: 0", f"seed: {number}"))
        path = folder / "evaluation.json"
        zero_shot, adapted = json.loads(path.read_text())
        adapted["top1"] = {"value": right / 6, "low": 0, "high": 1}
        path.write_text(json.dumps([zero_shot, adapted]))
        made.append(folder)
    return made


def test_one_run_is_measured_and_each_measure_explained(run: Path, latte: Latte) -> None:
    said = latte("diagnose", run)
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{run.name}: folder, 6 training images, 3 classes")
    for heading in (
        "Zero-shot CLIP",
        "Adapted labels",
        "Prototypes",
        "Test images (needs labels)",
    ):
        assert heading in lines
    assert any("confidence" in line and "mean probability" in line for line in lines)
    assert max(map(cell_len, lines)) <= 80


def test_json_has_every_value_and_what_it_means(run: Path, latte: Latte) -> None:
    found = diagnosis(latte, run)
    (one,) = found["runs"]
    measured = json.loads((run / "evaluation.json").read_text())
    assert (
        one["labelled"]["values"]["labelled.zero_shot_top1"]["value"]
        == (measured[0]["top1"]["value"])
    )
    assert one["labelled"]["values"]["labelled.gain"]["low"] == measured[1]["gain"]["low"]
    keys = {*one["values"], *one["labelled"]["values"]}
    assert keys == set(found["measures"])
    assert all(meaning["reading"] for meaning in found["measures"].values())


def test_the_verdict_of_a_guard_comes_first(run: Path, latte: Latte) -> None:
    assert diagnosis(latte, run)["runs"][0]["verdict"] is None
    verdict = Verdict(0.5, "halves of the images disagree", {"stability": 0.31})
    (run / "verdict.json").write_text(json.dumps(asdict(verdict)))
    lines = latte("diagnose", run, "--quiet").out.splitlines()
    assert lines[1] == "Verdict: cannot tell: halves of the images disagree."
    first = lines.index("Verdict of the guard")
    assert ["stability", "0.310"] in [line.split()[:2] for line in lines[first:]]
    assert first < lines.index("Adapted labels") < lines.index("Zero-shot CLIP")
    assert diagnosis(latte, run)["runs"][0]["verdict"]["outcome"] == "cannot tell"


def test_no_label_reaches_a_label_free_measure(run: Path, latte: Latte) -> None:
    before = diagnosis(latte, run)["runs"][0]
    path = run / "data" / "evaluation.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    changed = [{**row, "label": (row["label"] + 1) % 3} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in changed))
    after = diagnosis(latte, run)["runs"][0]
    assert after["values"] == before["values"]
    assert after["dataset"] != before["dataset"]


def test_a_run_without_labels_says_that_its_gain_is_unknown(squares: Path, latte: Latte) -> None:
    squares.write_text(squares.read_text().replace("  evaluation: test\n", ""))
    latte("run", squares, "--quiet")
    (folder,) = Path("runs").iterdir()
    said = latte("diagnose", folder, "--quiet")
    assert "no labelled images in this run" in said.out
    assert "needs labels)" not in said.out
    assert diagnosis(latte, folder)["runs"][0]["labelled"] is None


def test_several_runs_stand_side_by_side(run: Path, latte: Latte) -> None:
    folders = copies(run, [3, 4])
    lines = latte("diagnose", *folders, "--quiet").out.splitlines()
    assert any(line.split() == ["measure", "run", "1", "run", "2"] for line in lines)
    assert ["adapted", "top-1", "50", "%", "67", "%"] in [line.split() for line in lines]
    assert max(map(cell_len, lines)) <= 80


def test_runs_of_one_clip_share_it(run: Path, latte: Latte) -> None:
    said = latte("diagnose", *copies(run, [3, 4, 5]))
    assert said.err.count("loading local-dir") == 1
    assert said.err.count("diagnose copy-") == 3


def test_what_is_no_run_is_a_mistake(run: Path, latte: Latte) -> None:
    said = latte("diagnose", run.parent.parent / "images", "nowhere", code=2)
    assert "there is no finished run" in said.err
    assert "nowhere: there is no such folder" in said.err
    assert "latte run RECIPE" in said.err


def test_a_run_that_was_stopped_says_what_finishes_it(squares: Path, latte: Latte) -> None:
    latte("run", squares, "--until", "describe", "--quiet")
    (folder,) = Path("runs").iterdir()
    said = latte("diagnose", folder, code=2)
    assert "this run is not finished" in said.err
    assert f"finish it: latte run {folder}/recipe.yaml" in said.err


@pytest.mark.parametrize(
    ("name", "words", "remedy"),
    [
        ("zero_shot.safetensors", "damaged (there is no such file)", "latte run RECIPE"),
        ("prototypes.safetensors", "there is no trained model", "latte run"),
    ],
)
def test_of_a_file_that_is_gone_the_stage_is_named(
    run: Path, latte: Latte, name: str, words: str, remedy: str
) -> None:
    (run / name).unlink()
    said = latte("diagnose", run, "--quiet", code=2)
    assert words in said.err
    assert remedy in said.err


def test_a_damaged_file_is_named(run: Path, latte: Latte) -> None:
    (run / "zero_shot.safetensors").write_bytes(b"nothing")
    said = latte("diagnose", run, "--quiet", code=2)
    assert "zero_shot.safetensors: this file is damaged" in said.err


def test_runs_that_cannot_be_read_do_not_keep_the_others_back(run: Path, latte: Latte) -> None:
    good, bad = copies(run, [3, 4])
    (bad / "prototypes.safetensors").unlink()
    said = latte("diagnose", good, bad, "--quiet")
    assert said.out.startswith(good.name)
    assert f"skipped {bad.absolute()}: there is no trained model" in said.err
