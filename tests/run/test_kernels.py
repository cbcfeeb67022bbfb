"""Runs whose recipe asks for kernels that cannot work stop before the first stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.backbone import compiled
from latte.interfaces import LatteError
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough


def no_compiler(*given: object) -> None:
    raise OSError("no compiler found")


def test_varlen_is_refused_on_a_cpu_with_the_line_of_the_recipe(
    recipe: Path, tmp_path: Path
) -> None:
    with pytest.raises(LatteError, match="needs a CUDA GPU") as caught:
        run(recipe, "train.text_attention=varlen", output=tmp_path / "runs")
    assert caught.value.where is not None
    assert caught.value.where.endswith("train.text_attention")
    assert not [*(tmp_path / "runs").rglob("zero-shot*")]


def test_missing_compiler_is_refused_before_the_first_stage(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "BACKEND", no_compiler)
    with pytest.raises(LatteError, match="no compiler found"):
        run(recipe, "train.compile=default", output=tmp_path / "runs")
    assert not [*(tmp_path / "runs").rglob("zero-shot*")]


def test_kernels_are_not_checked_by_runs_that_do_not_train(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "BACKEND", no_compiler)
    asked, output = ("train.compile=default", "train.max_epochs=1"), tmp_path / "runs"
    run(recipe, *asked, output=output, until="describe")
    run(recipe, *asked, "train.max_steps=0", output=output, until="train")


def test_finished_training_is_reused_without_a_compiler(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, output = ("train.compile=default", "train.max_epochs=1"), tmp_path / "runs"
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    first, _, _ = run(recipe, *asked, output=output, until="evaluate")
    monkeypatch.setattr(compiled, "BACKEND", no_compiler)
    second, _, progress = run(recipe, *asked, output=output, until="evaluate")
    assert any(line.startswith("train: reused") for line in progress.lines)
    assert_same_results(first, second)
    compiled.forget_compiled()
