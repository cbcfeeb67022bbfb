"""Reuse of cached features and images by a later run, and the size of checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from latte.backbone.open_clip import OpenClipBackbone
from latte.io.tensor_files import load_tensors
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough


def test_zero_shot_features_of_an_earlier_run_need_no_tower(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_folder, _, _ = run(recipe, output=tmp_path / "first", until="zero-shot")
    monkeypatch.delattr(OpenClipBackbone, "encode_images")
    second_folder, _, progress = run(
        recipe, "seed=1", output=tmp_path / "second", until="zero-shot"
    )
    reused = [line for line in progress.lines if line.endswith("features reused from the cache")]
    assert reused == [
        "encode images: 12 features reused from the cache",
        "encode test images: 9 features reused from the cache",
    ]
    name = "zero_shot.safetensors"
    assert (first_folder / name).read_bytes() == (second_folder / name).read_bytes()


def test_one_photo_more_in_the_folder_is_encoded_alone(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    original = OpenClipBackbone.encode_images

    def counted(self: OpenClipBackbone, pixels: Tensor) -> Tensor:
        encoded.append(len(pixels))
        return original(self, pixels)

    monkeypatch.setattr(OpenClipBackbone, "encode_images", counted)
    first_folder, _, _ = run(recipe, output=tmp_path / "first", until="zero-shot")
    assert sum(encoded) == 21
    encoded.clear()
    photo = tmp_path / "images" / "a-new-one.png"
    Image.new("RGB", (40, 36), "purple").save(photo)
    second_folder, _, _ = run(recipe, output=tmp_path / "second", until="zero-shot")
    assert encoded == [1]
    first_features, second_features = (
        load_tensors(folder / "zero_shot.safetensors")["training"]
        for folder in (first_folder, second_folder)
    )
    assert torch.equal(second_features[1:], first_features), (
        "the new photo comes first, the others keep their bits"
    )
    photo.unlink()
    encoded.clear()
    run(recipe, output=tmp_path / "third", until="zero-shot")
    assert encoded == []


def test_a_second_run_decodes_and_resizes_nothing_to_train_and_evaluate(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_folder, _, _ = run(recipe, "train.evaluate_every=1", output=tmp_path / "first")
    for name in ("open_image", "evaluation_pixels"):
        monkeypatch.delattr(f"latte.data.cache.{name}")
    second_folder, _, _ = run(recipe, "train.evaluate_every=1", output=tmp_path / "second")
    assert_same_results(first_folder, second_folder)


def test_checkpoints_stay_two_and_hold_what_trains_alone(recipe: Path) -> None:
    settings = ("train.checkpoint_every=1", "train.max_epochs=3", "trainable=projections")
    folder, _, _ = run(recipe, *settings)
    checkpoints = sorted((folder / "checkpoints").glob("step-*"))
    assert [checkpoint.name for checkpoint in checkpoints] == ["step-000008", "step-000009"]
    model = (folder / "models/adapted/model" / "open_clip_model.safetensors").stat().st_size
    for checkpoint in checkpoints:
        (file,) = checkpoint.iterdir()
        assert file.stat().st_size < model / 20
