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
)
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.registry.spec import ComponentSpec
from latte.run.identity import run_hash
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder
from tests.helpers.fingerprints import fingerprints_of
from tests.helpers.recipes import registry_with
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_driver import CONTEXT
from tests.helpers.whole_runs import assert_same_results

FORMAT = PixelFormat(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Flips(ImageAugmentation[NoOptions]):
    """Mirrors images at random."""

    def view(self, image: Image.Image, size: int, random: Random) -> Tensor:
        resized = image.resize((size, size))
        augmented = ImageOps.mirror(resized) if random.random() < 0.5 else resized
        return torch.from_numpy(numpy.array(augmented)).permute(2, 0, 1)


class FloatViews(Flips):
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
    message = "its view cannot be used: pixels are float32, not uint8"
    with pytest.raises(LatteError, match=message) as caught:
        view(FloatViews).pixels(picture(), 0, 0)
    assert caught.value.where == "FloatViews"


def test_a_recipe_names_the_component(recipe: Path) -> None:
    plain, with_flips = load(recipe), load(recipe, "augmentation=flips")
    assert plain.augmentation is not None
    assert plain.augmentation.spec.name == "random-crops"
    assert with_flips.augmentation is not None
    assert with_flips.resolved["augmentation"] == {"use": "latte-test/flips"}
    assert run_hash(plain, None) != run_hash(with_flips, None)


def test_another_version_of_the_component_trains_again(recipe: Path) -> None:
    with_flips = load(recipe, "augmentation=flips")
    assert with_flips.augmentation is not None
    newer_version = with_flips.model_copy(
        update={"augmentation": replace(with_flips.augmentation, version="2")}
    )
    fingerprints, newer_fingerprints = (
        fingerprints_of(loaded) for loaded in (with_flips, newer_version)
    )
    assert fingerprints["describe"] == newer_fingerprints["describe"]
    assert fingerprints["train"] != newer_fingerprints["train"]


def extending(recipe: Path, name: str, text: str) -> Path:
    path = recipe.with_name(name)
    path.write_text(f"extends: [{recipe.name}]\n{text}\n")
    return path


def test_a_component_replaces_that_of_an_extended_recipe(recipe: Path) -> None:
    base = extending(recipe, "base.yaml", "augmentation: {crop_scale: [0.5, 1.0]}")
    with_flips = extending(base, "own.yaml", "augmentation: flips")
    for path, *overrides in (
        (with_flips,),
        (base, "augmentation=flips"),
        (base, "augmentation.use=flips"),
    ):
        assert load(path, *overrides).resolved["augmentation"] == {"use": "latte-test/flips"}


def test_options_without_a_component_are_those_of_random_crops(recipe: Path) -> None:
    base = extending(recipe, "base.yaml", "augmentation: {crop_scale: [0.5, 1.0]}")
    changed = extending(base, "own.yaml", "augmentation: {jitter_probability: 0}")
    assert load(changed).resolved["augmentation"] == {
        "use": "random-crops",
        "crop_scale": [0.5, 1.0],
        "jitter": [0.5, 0.5, 0.5, 0.1],
        "jitter_probability": 0.0,
        "grayscale_probability": 0.2,
    }


def test_null_is_the_evaluation_view(recipe: Path) -> None:
    base = extending(recipe, "base.yaml", "augmentation: flips")
    without_augmentation = extending(base, "own.yaml", "augmentation: null")
    assert load(without_augmentation).augmentation is None
    assert load(base, "augmentation=null").augmentation is None


@pytest.mark.thorough
def test_a_run_trains_on_the_views_and_resumes_with_equal_bits(
    recipe: Path, tmp_path: Path
) -> None:
    def run(*overrides: str) -> Path:
        loaded = load(recipe, "train.checkpoint_every=1", *overrides)
        run_recipe(loaded, registry(), RecordedProgress())
        return run_folder(loaded, None, None).path

    folder = run("augmentation=flips")
    uninterrupted = shutil.copytree(folder, tmp_path / "whole")
    shutil.rmtree(folder / "models/adapted/model")
    newest = max(folder.glob("checkpoints/step-*"), key=lambda path: int(path.name[5:]))
    shutil.rmtree(newest) if newest.is_dir() else newest.unlink()
    assert run("augmentation=flips") == folder
    assert_same_results(folder, uninterrupted)
    name = "metrics.jsonl"
    assert (folder / name).read_bytes() != (run() / name).read_bytes()
