"""Whole runs on coloured squares."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from latte_author.testing import RunContract, TinyRuns
from latte_author.testing.tiny_runs import results
from safetensors.torch import load_file

pytestmark = pytest.mark.thorough

RECIPE = """\
descriptions: DESCRIPTIONS
labels: [current]
prototypes: {PROTOTYPES}
loss: contrastive
train:
  batch_size: 4
  max_epochs: 2
  checkpoint_every: 2
  optimizer: {learning_rate: 1.0e-3}
"""
ONE = '[{use: class, name: plain, template: "a photo of a {class}."}]'
TWO_MORE = (
    '{use: class, name: a, template: "a {class}."}, {use: class, name: b, template: "{class}!"}'
)
THREE = f"{ONE[:-1]}, {TWO_MORE}]"


def recipe(descriptions: str, prototypes: str) -> str:
    return RECIPE.replace("DESCRIPTIONS", descriptions).replace("PROTOTYPES", prototypes)


class TestRefreshedEachStep(RunContract):
    recipe = recipe(THREE, "use: flyp, refresh: step")
    stops = (1, 4)


class TestRefreshedEachEpoch(RunContract):
    recipe = recipe(THREE, "use: flyp, refresh: epoch")
    stops = (3,)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns(tmp_path_factory.mktemp("flyp"))


@pytest.fixture(scope="module")
def one_template(runs: TinyRuns) -> Path:
    return runs.run(recipe(ONE, "use: flyp"), until="evaluate")


def test_one_template_is_the_core_s_flyp(runs: TinyRuns, one_template: Path) -> None:
    """The target is the same sentence; gradients add up in another order."""
    core = runs.run(recipe("[]", "use: templates, refresh: step"), until="evaluate")
    prototypes, core_prototypes = (
        load_file(folder / "models/adapted/prototypes.safetensors")
        for folder in (one_template, core)
    )
    torch.testing.assert_close(
        prototypes["main.weights"], core_prototypes["main.weights"], atol=1e-5, rtol=0
    )
    start = load_file(one_template / "zero_shot.safetensors")["class_features"]
    assert not torch.allclose(prototypes["main.weights"], start, atol=1e-4)


def test_several_templates_teach_something_else(runs: TinyRuns, one_template: Path) -> None:
    three = results(runs.run(recipe(THREE, "use: flyp"), until="evaluate"))
    different = {name for name, data in results(one_template).items() if three[name] != data}
    assert {
        "models/adapted/prototypes.safetensors",
        "metrics.jsonl",
        "models/adapted/model/open_clip_model.safetensors",
    } <= different
