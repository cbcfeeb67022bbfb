"""Adaptation without training steps, from frozen features that are cached."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec
from weakref import ReferenceType, ref

import numpy
import pytest
import torch
from safetensors.torch import load_file

from latte.data import images as data_images
from latte.data import scan
from latte.describe.bank import DescriptionBank
from latte.interfaces import Backbone
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.run import plan
from latte.run.describing import describe
from latte.run.frozen_texts import FrozenTexts
from latte.run.images import Images, find_images
from latte.run.judging import JudgedModels, judge_model
from latte.run.workspace import Workspace, run_folder
from latte.run.zero_shot import compute_zero_shot
from tests.helpers.recorded import RecordedProgress
from tests.helpers.records import accuracies
from tests.helpers.whole_runs import assert_same_results, run

TRAINING_FREE = ("train.max_steps=0", "prototypes=re-estimated", "labels=[]", "loss=null")


def test_a_run_without_training_adapts_prototypes_alone(recipe: Path) -> None:
    folder, results, _ = run(recipe, *TRAINING_FREE)
    zero_shot = load_file(folder / "zero_shot.safetensors")
    weights = load_file(folder / "models/adapted/prototypes.safetensors")["main.weights"]
    assert float((weights - zero_shot["class_features"]).norm(dim=1).max()) > 0.1
    assert results is not None
    assert [*accuracies(results)] == ["zero-shot", "adapted"]
    lines = (folder / "data" / "evaluation.jsonl").read_text().splitlines()
    labels = torch.tensor([json.loads(line)["label"] for line in lines])
    right = (zero_shot["evaluation"] @ weights.T).argmax(dim=1) == labels
    assert accuracies(results)["adapted"].top1.value == pytest.approx(right.double().mean().item())
    assert (folder / "metrics.jsonl").read_text() == ""


def test_descriptions_change_training_free_prototypes(recipe: Path) -> None:
    with_descriptions, _, _ = run(recipe, *TRAINING_FREE)
    class_only, _, _ = run(recipe, *TRAINING_FREE, "descriptions=[class]", "describer=null")
    weights = [
        load_file(folder / "models/adapted/prototypes.safetensors")["main.weights"]
        for folder in (with_descriptions, class_only)
    ]
    assert not torch.allclose(weights[0], weights[1], atol=1e-3)


def test_cached_run_encodes_and_decodes_nothing_and_is_identical(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*TRAINING_FREE, "reporters=[]")
    cold, _, cold_progress = run(recipe, *settings, output=tmp_path / "cold")
    assert "encode descriptions `image`" in {task.name for task in cold_progress.tasks}
    for module in (scan, data_images):
        monkeypatch.setattr(module, "decode_image", lambda data: pytest.fail("an image is decoded"))
    warm, _, warm_progress = run(recipe, *settings, output=tmp_path / "warm")
    assert_same_results(cold, warm)
    assert {task.name for task in warm_progress.tasks} <= {"check images", "check test images"}


def test_controls_share_the_frozen_clip(recipe: Path) -> None:
    control = "controls={other-texts: {descriptions: [class], describer: null}}"
    _, _, progress = run(recipe, *TRAINING_FREE, control)
    assert sum(line.startswith("loading") for line in progress.lines) == 1


def test_controls_share_the_memory_of_cached_images(recipe: Path) -> None:
    workspace = workspace_of(recipe)
    control = workspace.control(workspace.recipe, workspace.folder)
    run_pixels, control_pixels = (
        find_images(place).training.cache.pixels(0) for place in (workspace, control)
    )
    assert numpy.shares_memory(run_pixels, control_pixels)


def test_results_of_a_run_are_freed_before_its_controls(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[ReferenceType[JudgedModels]] = []

    def judge(*arguments: Any) -> tuple[JudgedModels, Any]:
        assert not any(reference() for reference in outcomes)
        outcome, facts = judge_model(*arguments)
        outcomes.append(ref(outcome))
        return outcome, facts

    monkeypatch.setattr(plan, "judge_model", judge)
    run(recipe, *TRAINING_FREE, "controls={other-texts: {descriptions: [class], describer: null}}")
    assert len(outcomes) == 2


def test_a_control_with_another_clip_loads_its_own(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_nothing(settings: Any, **_: Any) -> Any:
        clip = create_autospec(Backbone, instance=True)
        clip.loaded = settings.model
        return clip

    monkeypatch.setattr("latte.backbone.load.load_backbone", load_nothing)
    workspace = workspace_of(recipe)
    same = workspace.control(workspace.recipe, workspace.folder)
    with_other_clip = workspace.control(
        load_recipe(recipe, load_registry(), ["backbone.model=RN50"]), workspace.folder
    )
    assert same.frozen_clip is workspace.frozen_clip
    assert vars(with_other_clip.frozen_clip)["loaded"] == "RN50"


def workspace_of(recipe: Path, *overrides: str) -> Workspace:
    registry = load_registry()
    loaded = load_recipe(recipe, registry, overrides)
    folder = run_folder(loaded, None)
    return Workspace(loaded, registry, RecordedProgress(), folder)


def bank_of(workspace: Workspace, images: Images) -> DescriptionBank:
    described = describe(workspace, images, compute_zero_shot(workspace, images))
    assert described is not None
    return described[0]


class TestFrozenTexts:
    @pytest.fixture
    def texts(self, recipe: Path) -> FrozenTexts:
        workspace = workspace_of(recipe)
        images = find_images(workspace)
        self.bank = bank_of(workspace, images)
        self.encode = workspace.frozen_clip.encode_texts
        self.progress = workspace.progress
        return FrozenTexts(workspace, self.bank)

    def said(self, name: str, labels: torch.Tensor | None = None) -> list[str]:
        return [
            self.bank.unique_texts[row] for row in self.bank.own_rows(name, labels)[:, 0].tolist()
        ]

    def test_rows_are_the_features_of_the_descriptions(self, texts: FrozenTexts) -> None:
        labels = torch.arange(12) % 3
        features_by_name = texts.of(labels)
        assert [*features_by_name] == ["class", "image", "group"]
        for name, features in features_by_name.items():
            with torch.no_grad():
                expected = self.encode(self.said(name, labels))
            torch.testing.assert_close(features, expected)
            assert not features.requires_grad

    def test_features_are_freed_without_garbage_collection(self, recipe: Path) -> None:
        """They may fill much of a GPU's memory, which the next stage needs."""
        workspace = workspace_of(recipe)
        images = find_images(workspace)
        bank = bank_of(workspace, images)
        gc.disable()
        try:
            texts = FrozenTexts(workspace, bank)
            alive = ref(texts)
            del texts
            assert alive() is None
        finally:
            gc.enable()

    def test_named_features_are_those_of_the_zero_shot_labels(self, texts: FrozenTexts) -> None:
        features_by_name = texts.of(self.bank.zero_shot_labels)
        for name in features_by_name:
            assert torch.equal(texts.named(name), features_by_name[name])
        with pytest.raises(KeyError):
            texts.named("caption")

    def test_description_is_encoded_once_at_its_first_use(self, texts: FrozenTexts) -> None:
        assert isinstance(self.progress, RecordedProgress)
        task_count = len(self.progress.tasks)
        texts.named("image")
        texts.named("image")
        assert [task.name for task in self.progress.tasks[task_count:]] == [
            "encode descriptions `image`"
        ]
