"""Runs that train added or few parameters: resumed with equal bits, and saved merged."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

import latte
from latte.cli.main import run_command_line
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough

without_peft = importlib.util.find_spec("peft") is None
needs_peft = pytest.mark.skipif(without_peft, reason="peft is not installed")
WEIGHTS = "model/open_clip_model.safetensors"


@pytest.mark.parametrize(
    "trainable",
    [
        "{use: last_blocks, blocks: 1}",
        pytest.param("{use: lora, rank: 2}", marks=needs_peft),
        pytest.param("prompts", marks=needs_peft),
    ],
)
def test_run_resumes_with_equal_bits_and_saves_a_plain_model(
    recipe: Path, tmp_path: Path, trainable: str
) -> None:
    overrides = (
        f"trainable={trainable}",
        "train.optimizer.learning_rate=0.1",
        "train.checkpoint_every=1",
    )
    folder, _, _ = run(recipe, *overrides)
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    shutil.rmtree(folder / "model")
    newest = max(folder.glob("checkpoints/step-*"), key=lambda path: int(path.name[5:]))
    shutil.rmtree(newest) if newest.is_dir() else newest.unlink()
    _, _, progress = run(recipe, *overrides)
    assert any(line.startswith("train: continuing after step") for line in progress.lines)
    assert_same_results(folder, whole)
    frozen, _, _ = run(recipe, "trainable=none")
    assert {*load_file(folder / WEIGHTS)} == {*load_file(frozen / WEIGHTS)}
    assert (folder / WEIGHTS).read_bytes() != (frozen / WEIGHTS).read_bytes()
    names = [row.name for row in latte.load(folder).predict("test")]
    rows = (folder / "predictions.csv").read_text().splitlines()[1:]
    assert len(rows) == len(names)
    assert all(f",{name}," in row for name, row in zip(names, rows, strict=True))


@pytest.mark.skipif(not without_peft, reason="peft is installed")
@pytest.mark.parametrize("command", ["run", "check"])
def test_missing_peft_is_reported_before_any_stage(
    recipe: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run_command_line([command, str(recipe), "--set", "trainable=lora"]) == 2
    said = capsys.readouterr().err
    assert "this needs the package peft" in said
    assert 'pip install "latte-clip[peft]"' in said
    assert not (recipe.parent / "runs").exists()
