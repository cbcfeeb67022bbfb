"""`RunContract` finds missing state and use of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from latte_author.testing import RunContract, TinyRuns
from latte_author.testing.tiny_runs import DATASET
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import TrainingStart
from latte.backbone.open_clip import OpenClipBackbone
from latte.components.latteclip import MomentumPrototypes

pytestmark = pytest.mark.thorough

RECIPE = """\
describer: phrases
descriptions: [class, image, {use: group, size: 2}]
labels: [current, frozen]
prototypes: momentum
loss: contrastive
train: {batch_size: 4, max_epochs: 2, checkpoint_every: 2, optimizer: {learning_rate: 1.0e-3}}
"""


class Contract(RunContract):
    recipe = RECIPE
    stops = (3,)


def test_state_that_is_not_restored_is_found(
    latte_runs: TinyRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(self: MomentumPrototypes, state: Mapping[str, Tensor]) -> None:
        pass

    monkeypatch.setattr(MomentumPrototypes, "load_state", forget)
    uninterrupted = latte_runs.run(RECIPE, output="whole")
    with pytest.raises(AssertionError, match=r"step 3 these differ: .*prototypes\.safetensors"):
        Contract().test_resume_after_a_stopped_step_gives_identical_results(
            latte_runs, uninterrupted
        )


def test_use_of_test_labels_is_found(latte_runs: TinyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    start, place = MomentumPrototypes.start, latte_runs.folder / "test" / "red" / "0.png"

    def peek(self: MomentumPrototypes, known: TrainingStart) -> None:
        order = (0, 1, 2) if place.exists() else (2, 1, 0)
        start(self, replace(known, class_features=known.class_features[list(order)]))

    monkeypatch.setattr(MomentumPrototypes, "start", peek)
    uninterrupted = latte_runs.run(RECIPE, output="whole")
    with pytest.raises(AssertionError, match=r"with other labels these differ: .*prototypes"):
        Contract().test_labels_of_test_images_do_not_change_training(latte_runs, uninterrupted)
    assert place.exists(), "the folders have their names again"


class BackboneRuns(RunContract):
    recipe = f"{RECIPE}backbone: {{use: open_clip, model: 'local-dir:own'}}\n"
    stops = (3,)

    def write_files(self, folder: Path) -> None:
        (folder / "clip").rename(folder / "own")


class TestRunsWithTheirOwnBackbone(BackboneRuns):
    pass


def test_a_backbone_whose_features_depend_on_earlier_steps_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, calls, encode = TinyRuns(tmp_path), count(1), OpenClipBackbone.encode_images
    BackboneRuns().write_files(tmp_path)

    def drift(self: OpenClipBackbone, pixels: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return encode(self, pixels)
        return normalize(encode(self, pixels + 0.1 * next(calls)), dim=1)

    monkeypatch.setattr(OpenClipBackbone, "encode_images", drift)
    uninterrupted = runs.run(BackboneRuns.recipe, output="whole")
    with pytest.raises(AssertionError, match=r"step 3 these differ: .*model"):
        BackboneRuns().test_resume_after_a_stopped_step_gives_identical_results(runs, uninterrupted)


def test_a_recipe_with_its_own_backbone_gets_the_dataset_only(latte_runs: TinyRuns) -> None:
    (latte_runs.folder / "clip").rename(latte_runs.folder / "own")
    recipe = latte_runs.check(BackboneRuns.recipe)
    assert recipe["backbone"]["model"] == "local-dir:own"
    assert recipe["dataset"]["root"] == "images"
    with pytest.raises(AssertionError, match='the key "backbone" is missing'):
        latte_runs.check(DATASET + RECIPE)


def test_commands_return_exit_code_and_output(latte_runs: TinyRuns, tmp_path: Path) -> None:
    assert latte_runs.folder == tmp_path
    assert latte_runs.check(RECIPE)["train"]["batch_size"] == 4
    with pytest.raises(AssertionError, match="lables"):
        latte_runs.check(f"lables: [frozen]\n{RECIPE}")
    with pytest.raises(AssertionError, match="exit code 2, not 0"):
        latte_runs.run(RECIPE, "train.batch_size=0")


class TestRunsWithoutSteps(RunContract):
    recipe = "labels: [frozen]\nprototypes: templates\nloss: contrastive\ntrain: {max_steps: 0}\n"
