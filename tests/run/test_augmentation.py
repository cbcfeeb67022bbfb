"""Training views of a component: chosen in a recipe, seeded, and made on the CPU."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from latte.data.views import TrainingView
from latte.interfaces import (
    ImageAugmentation,
    LatteError,
    NoOptions,
    PixelFormat,
    RecipeErrors,
)
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.registry.spec import ComponentSpec
from latte.results.identity import CHECKPOINTS, run_hash, stage_fingerprints
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder
from tests.helpers.recipes import registry_with
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_driver import CONTEXT
from tests.helpers.whole_runs import assert_same_results

FORMAT = PixelFormat(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Flips(ImageAugmentation[NoOptions]):
    """Mirrors images at random."""

    def view(self, image: Image.Image, size: int, random: Random) -> Tensor:
        whole = image.resize((size, size))
        chosen = ImageOps.mirror(whole) if random.random() < 0.5 else whole
        return torch.from_numpy(numpy.array(chosen)).permute(2, 0, 1)


class Floats(Flips):
    """Returns views of the wrong type."""

    def view(self, image: Image.Image, size: int, random: Random) -> Tensor:
        return super().view(image, size, random).float()


def registry() -> Registry:
    return registry_with(ComponentSpec("augmentation", "flips", f"{__name__}:Flips", "for tests"))


def load(path: Path, *overrides: str) -> Recipe:
    return load_recipe(path, registry(), overrides)


def view(kind: type[Flips] = Flips) -> TrainingView:
    return TrainingView(FORMAT, kind(NoOptions(), CONTEXT), seed=3)


def picture() -> Image.Image:
    values = numpy.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=numpy.uint8)
    return Image.fromarray(values)


def test_views_of_another_format_are_refused() -> None:
    with pytest.raises(LatteError, match="Floats returned torch") as caught:
        view(Floats).pixels(picture(), 0, 0)
    assert caught.value.where == "augmentation"


def test_a_recipe_names_the_component(recipe: Path) -> None:
    plain, own = load(recipe), load(recipe, "augmentation=flips")
    assert plain.augmentation is None
    assert own.augmentation is not None
    assert own.resolved["augmentation"] == {"use": "latte-test/flips"}
    assert "augment" not in own.resolved["train"]
    assert run_hash(plain, None) != run_hash(own, None)


def test_another_version_of_the_component_trains_again(recipe: Path) -> None:
    own = load(recipe, "augmentation=flips")
    assert own.augmentation is not None
    newer = replace(own, augmentation=replace(own.augmentation, version="2"))
    before, after = (stage_fingerprints(one, "images", "clip") for one in (own, newer))
    assert before["describe"] == after["describe"]
    assert before[CHECKPOINTS] != after[CHECKPOINTS]


def extending(recipe: Path, name: str, text: str) -> Path:
    path = recipe.with_name(name)
    path.write_text(f"extends: [{recipe.name}]\n{text}\n")
    return path


def test_augment_beside_the_component_is_refused(recipe: Path) -> None:
    both = extending(recipe, "both.yaml", "augmentation: flips\ntrain: {augment: null}")
    for path, overrides in ((both, ()), (recipe, ("augmentation=flips", "train.augment=null"))):
        with pytest.raises(RecipeErrors, match='cannot stand beside "augmentation"') as refused:
            load(path, *overrides)
        assert 'Remove "augment" here, or write augmentation: null.' in str(refused.value)
    assert load(recipe, "augmentation=null").augmentation is None


@pytest.mark.parametrize("augment", ["null", "{crop_scale: [0.5, 1.0]}"])
def test_a_component_replaces_the_augment_of_an_extended_recipe(recipe: Path, augment: str) -> None:
    base = extending(recipe, "base.yaml", f"train: {{augment: {augment}}}")
    own = extending(base, "own.yaml", "augmentation: flips")
    expected = load(recipe, "augmentation=flips").resolved
    for path, *overrides in (
        (own,),
        (base, "augmentation=flips"),
        (base, "augmentation.use=flips"),
    ):
        found = load(path, *overrides)
        assert found.resolved["augmentation"] == expected["augmentation"]
        assert found.resolved["train"] == expected["train"]
        assert found.train == load(recipe).train


def test_augment_replaces_the_component_of_an_extended_recipe(recipe: Path) -> None:
    base = extending(recipe, "base.yaml", "augmentation: flips")
    own = extending(base, "own.yaml", "train: {augment: null}")
    for found in (load(own), load(base, "train.augment=null")):
        assert found.augmentation is None
        assert found.train.augment is None


def test_a_null_component_keeps_the_augment_of_an_extended_recipe(recipe: Path) -> None:
    base = extending(recipe, "base.yaml", "train: {augment: null}")
    own = extending(base, "own.yaml", "augmentation: null")
    for found in (load(own), load(base, "augmentation=null")):
        assert found.train.augment is None


@pytest.mark.thorough
def test_a_run_trains_on_the_views_and_resumes_with_equal_bits(
    recipe: Path, tmp_path: Path
) -> None:
    def run(*overrides: str) -> Path:
        loaded = load(recipe, "train.checkpoint_every=1", *overrides)
        run_recipe(loaded, registry(), RecordedProgress())
        return run_folder(loaded, None, None).path

    folder = run("augmentation=flips")
    whole = shutil.copytree(folder, tmp_path / "whole")
    shutil.rmtree(folder / "model")
    newest = max(folder.glob("checkpoints/step-*"), key=lambda path: int(path.name[5:]))
    shutil.rmtree(newest) if newest.is_dir() else newest.unlink()
    assert run("augmentation=flips") == folder
    assert_same_results(folder, whole)
    name = "metrics.jsonl"
    assert (folder / name).read_bytes() != (run() / name).read_bytes()
