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

needs_peft = pytest.mark.skipif(
    importlib.util.find_spec("peft") is None, reason="peft is not installed"
)
WEIGHTS = "models/adapted/model/open_clip_model.safetensors"


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
    uninterrupted = tmp_path / "whole"
    shutil.copytree(folder, uninterrupted)
    shutil.rmtree(folder / "models/adapted/model")
    newest = max(folder.glob("checkpoints/step-*"), key=lambda path: int(path.name[5:]))
    shutil.rmtree(newest) if newest.is_dir() else newest.unlink()
    _, _, progress = run(recipe, *overrides)
    assert any(line.startswith("train: continuing after step") for line in progress.lines)
    assert_same_results(folder, uninterrupted)
    frozen, _, _ = run(recipe, "trainable=none")
    assert {*load_file(folder / WEIGHTS)} == {*load_file(frozen / WEIGHTS)}
    assert (folder / WEIGHTS).read_bytes() != (frozen / WEIGHTS).read_bytes()
    names = [row.name for row in latte.load(folder).predict("test")]
    rows = (folder / "predictions.csv").read_text().splitlines()[1:]
    assert len(rows) == len(names)
    assert all(f",{name}," in row for name, row in zip(names, rows, strict=True))


@pytest.fixture
def no_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `find_spec` report that peft is not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "latte.components.trainable.importlib.util.find_spec",
        lambda name, *arguments: None if name == "peft" else find(name, *arguments),
    )


@pytest.mark.usefixtures("no_peft")
@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("override", ["trainable=lora", "controls={low-rank: {trainable: lora}}"])
def test_missing_peft_is_reported_before_any_stage(
    recipe: Path, capsys: pytest.CaptureFixture[str], command: str, override: str
) -> None:
    assert run_command_line([command, str(recipe), "--set", override]) == 2
    error_output = capsys.readouterr().err
    assert "this needs the package peft" in error_output
    assert 'pip install "latte-clip[peft]"' in error_output
    assert not (recipe.parent / "runs").exists()


@pytest.mark.usefixtures("no_peft")
@pytest.mark.parametrize("command", [["describe"], ["run", "--until", "describe"]])
def test_descriptions_need_no_peft(recipe: Path, command: list[str]) -> None:
    assert run_command_line([*command, str(recipe), "--set", "trainable=lora"]) == 0


@pytest.mark.parametrize(
    ("trainable", "loss", "key", "message"),
    [
        ("{use: last_blocks, blocks: 50}", "contrastive", "trainable.blocks", "fewer than 50"),
        ("all", "sigmoid", "loss", "no logit bias"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_unfit_backbone_names_the_line_of_the_recipe(
    recipe: Path,
    capsys: pytest.CaptureFixture[str],
    trainable: str,
    loss: str,
    key: str,
    message: str,
    listed: bool,
) -> None:
    lines = recipe.read_text().splitlines()
    lines = [line for line in lines if not line.startswith(("loss:", "prototypes:"))]
    lines += ["learners:", "- name: own"] if listed else []
    settings = {"trainable": trainable, "loss": loss}
    lines += [f"{'  ' if listed else ''}{name}: {value}" for name, value in settings.items()]
    recipe.write_text("\n".join(lines))
    assert run_command_line(["run", str(recipe)]) == 2
    error_output = capsys.readouterr().err
    assert message in error_output
    line = len(lines) - (key != "loss")
    assert f"squares.yaml:{line} {'learners.0.' if listed else ''}{key}:" in error_output
