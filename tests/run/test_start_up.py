"""What a run finds from an earlier one, and how little it keeps to go on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.backbone.open_clip import OpenClipBackbone
from tests.run.runs import assert_same_results, run


def test_zero_shot_features_of_an_earlier_run_need_no_tower(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, _ = run(recipe, output=tmp_path / "first", until="zero-shot")
    monkeypatch.delattr(OpenClipBackbone, "encode_images")
    second, _, progress = run(recipe, "seed=1", output=tmp_path / "second", until="zero-shot")
    reused = [line for line in progress.lines if line.endswith("features reused from the cache")]
    assert reused == [
        "encode images: 12 features reused from the cache",
        "encode test images: 9 features reused from the cache",
    ]
    name = "zero_shot.safetensors"
    assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_second_run_decodes_and_resizes_nothing_to_train_and_evaluate(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, _ = run(recipe, "train.evaluate_every=1", output=tmp_path / "first")
    for name in ("open_image", "evaluation_pixels"):
        monkeypatch.delattr(f"latte.data.cache.{name}")
    second, _, _ = run(recipe, "train.evaluate_every=1", output=tmp_path / "second")
    assert_same_results(first, second)


def test_checkpoints_stay_two_and_hold_what_trains_alone(recipe: Path) -> None:
    settings = ("train.checkpoint_every=1", "train.max_epochs=3", "trainable=projections")
    folder, _, _ = run(recipe, *settings)
    checkpoints = sorted((folder / "checkpoints").glob("step-*"))
    assert [one.name for one in checkpoints] == ["step-000008", "step-000009"]
    model = (folder / "model" / "open_clip_model.safetensors").stat().st_size
    for one in checkpoints:
        (file,) = one.iterdir()
        assert file.stat().st_size < model / 20
