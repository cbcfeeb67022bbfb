"""Runs with a guard: what happens where it keeps zero-shot, and where it does not."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.run.zero_shot import load_zero_shot
from tests.run.runs import RESULT_FILES, assert_same_results, run

KEEPS = "guard={use: lead, at_least: 1000}"
ADAPTS = "guard={use: lead, at_least: 0.001}"


def squashed(text: str) -> str:
    return " ".join(text.split())


def test_a_guard_that_keeps_zero_shot_leaves_the_frozen_clip(recipe: Path) -> None:
    folder, results, progress = run(recipe, KEEPS)
    assert results is not None
    zero_shot, adapted = results.evaluations
    assert adapted.top1 == zero_shot.top1
    assert adapted.gain is not None
    assert (adapted.gain.value, adapted.gain.low, adapted.gain.high) == (0, 0, 0)
    features = load_zero_shot(folder / "zero_shot.safetensors")
    prototypes = load_file(folder / "prototypes.safetensors")
    assert torch.equal(prototypes["zero-shot.weights"], features.class_features)
    labels = [*csv.DictReader((folder / "pseudo_labels.csv").open(encoding="utf-8"))]
    assert all(row["zero_shot"] == row["adapted"] for row in labels)
    assert any(line.startswith("guard lead: keeping zero-shot, as") for line in progress.lines)


def test_nobody_is_asked_and_nothing_is_trained(recipe: Path) -> None:
    folder, results, progress = run(recipe, KEEPS)
    assert results is not None
    assert all(not entry.descriptions for entry in results.gallery)
    assert (folder / "metrics.jsonl").read_bytes() == b""
    assert not any(line.startswith(("describe:", "train:")) for line in progress.lines)


def test_a_guard_that_is_content_changes_no_result(recipe: Path) -> None:
    guarded, results, _ = run(recipe, ADAPTS)
    plain, _, _ = run(recipe)
    assert guarded != plain
    assert_same_results(guarded, plain)
    assert results is not None
    assert results.verdict is not None
    assert results.verdict.adapt


def test_the_reason_is_told_in_summary_report_and_card(recipe: Path) -> None:
    from latte.report.terminal import summary_table

    folder, results, _ = run(recipe, KEEPS)
    assert results is not None
    assert results.verdict is not None
    note = f"The guard kept zero-shot: {results.verdict.reason}."
    assert note in squashed(summary_table(results))
    page = (folder / "report" / "index.html").read_text().partition("</header>")[0]
    assert note in squashed(page)
    assert note in squashed((folder / "model" / "README.md").read_text())


def test_a_run_that_adapts_has_no_such_note(recipe: Path) -> None:
    folder, _, _ = run(recipe, ADAPTS)
    for name in ("report/index.html", "model/README.md"):
        assert "The guard kept" not in (folder / name).read_text()


def test_several_learners_become_one_zero_shot_model(recipe: Path) -> None:
    text = recipe.read_text()
    one = "prototypes: {use: momentum, momentum: 0.9}\nloss: contrastive\n"
    assert one in text
    learner = "{name: NAME, prototypes: momentum, loss: contrastive}"
    two = ", ".join(learner.replace("NAME", name) for name in ("first", "second"))
    recipe.write_text(text.replace(one, f"learners: [{two}]\n"))
    folder, results, _ = run(recipe, KEEPS)
    assert results is not None
    with safe_open(folder / "prototypes.safetensors", framework="pt") as file:
        assert sorted(file.keys()) == ["zero-shot.owners", "zero-shot.weights"]
    assert (folder / "model" / "open_clip_model.safetensors").exists()


def test_a_stopped_and_a_reused_run_say_the_same(recipe: Path) -> None:
    folder, _, _ = run(recipe, KEEPS, until="describe")
    run(recipe, KEEPS)
    first = {name: (folder / name).read_bytes() for name in (*RESULT_FILES, "guard.json")}
    _, results, progress = run(recipe, KEEPS)
    assert {name: (folder / name).read_bytes() for name in first} == first
    assert results is not None
    assert results.verdict is not None
    assert not results.verdict.adapt
    assert any(line.startswith("train: reused") for line in progress.lines)


def test_predict_and_evaluate_work_on_it(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, results, _ = run(recipe, KEEPS)
    assert results is not None
    image = next((recipe.parent / "test").rglob("*.jpg"))
    assert run_command_line(["predict", "--quiet", str(folder), str(image)]) == 0
    capsys.readouterr()
    assert run_command_line(["evaluate", "--quiet", "--json", str(folder)]) == 0
    _, adapted = json.loads(capsys.readouterr().out)
    assert adapted["top1"]["value"] == pytest.approx(results.evaluations[0].top1.value)


def test_an_unknown_guard_is_a_mistake_in_the_recipe(recipe: Path) -> None:
    with pytest.raises(LatteError, match="led"):
        run(recipe, "guard=led")
