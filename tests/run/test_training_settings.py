"""Settings of training in whole runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.records import recorded
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough

QUICK = ("train.max_epochs=1",)


def test_a_device_without_tf32_says_once_that_it_computes_in_fp32(
    recipe: Path, tmp_path: Path
) -> None:
    folder, _, progress = run(recipe, *QUICK, "train.precision=tf32", output=tmp_path / "tf32")
    tf32_lines = [line for line in progress.lines if "TF32" in line]
    assert tf32_lines == ["train: this device has no TF32, so `precision: tf32` is fp32 here"]
    plain, _, progress = run(recipe, *QUICK, output=tmp_path / "auto")
    assert not [line for line in progress.lines if "TF32" in line]
    assert_same_results(folder, plain)


def test_text_features_of_a_frozen_tower_are_cached_across_runs(
    recipe: Path, tmp_path: Path
) -> None:
    settings = (*QUICK, "trainable=visual_layer_norms")
    first_folder, _, progress = run(recipe, *settings, output=tmp_path / "first")
    assert not [line for line in progress.lines if "reused from the cache" in line]
    second_folder, _, progress = run(recipe, *settings, output=tmp_path / "second")
    reused = [line for line in progress.lines if line.startswith("encode descriptions")]
    assert len([line for line in reused if line.endswith("features reused from the cache")]) == 3
    assert_same_results(first_folder, second_folder)


def test_outputs_of_a_frozen_trunk_are_cached_across_runs_and_used_by_evaluations(
    recipe: Path, tmp_path: Path
) -> None:
    settings = (*QUICK, "trainable=projections", "augmentation=null", "train.evaluate_every=1")
    first_folder, _, progress = run(recipe, *settings, output=tmp_path / "first")
    second_folder, _, second_progress = run(recipe, *settings, output=tmp_path / "second")
    for name in ("encode training images", "evaluate"):
        reused = [line for line in second_progress.lines if line.startswith(f"{name}: ")]
        assert len(reused) == 1
        assert reused[0].endswith("features reused from the cache")
        assert reused[0] not in progress.lines
    assert_same_results(first_folder, second_folder)
    rows = [json.loads(line) for line in (first_folder / "metrics.jsonl").read_text().splitlines()]
    adapted = recorded(first_folder, "evaluate", "models", 1)
    assert rows[-1]["top1"] == pytest.approx(adapted["classifier"]["top1"]["value"])


@pytest.mark.parametrize("trained", ["projections", "{use: last_blocks, blocks: 1}"])
def test_evaluations_from_cached_outputs_give_the_bits_of_whole_towers(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: str
) -> None:
    settings = (*QUICK, f"trainable={trained}", "train.evaluate_every=1")
    first_folder, _, _ = run(recipe, *settings, output=tmp_path / "first")
    monkeypatch.setattr("latte.run.training.LARGEST_STATES", 0)
    second_folder, _, second_progress = run(recipe, *settings, output=tmp_path / "second")
    assert not [line for line in second_progress.lines if line.startswith("evaluate: ")]
    assert_same_results(first_folder, second_folder)
    assert (first_folder / "metrics.jsonl").read_text() == (
        second_folder / "metrics.jsonl"
    ).read_text()
