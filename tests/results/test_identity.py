"""Run hashes and stage fingerprints, by settings of training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.results.identity import run_hash, stage_fingerprints

OPTIONAL = ("micro_batch_size", "refresh_captions", "views")

RECIPE = """
backbone: {model: x}
dataset: {use: folder, root: a, classes: [b, c]}
labels: [frozen]
loss: contrastive
controls: {short: {train: {max_steps: 1}}}
"""


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    return path


def identity(path: Path, *overrides: str) -> tuple[str, str]:
    registry = load_registry()
    recipe = load_recipe(path, registry, overrides)
    stages = stage_fingerprints(recipe, "images", "backbone")
    return run_hash(recipe, None), stages["report"]


def test_explicit_defaults_do_not_change_the_run_hash(recipe_path: Path) -> None:
    written = [f"train.{name}=null" for name in OPTIONAL]
    written += ["train.precision=auto", "train.gradient_checkpointing=auto"]
    written += ["train.text_attention=by_length", "train.compile=null"]
    assert identity(recipe_path, *written) == identity(recipe_path)


def test_each_training_setting_changes_the_run_hash(recipe_path: Path) -> None:
    changes = [f"train.{name}=2" for name in OPTIONAL]
    changes += ["train.batch_size=auto", "train.micro_batch_size=auto"]
    changes += ["train.gradient_checkpointing=true", "train.augment_on=device"]
    changes += ["train.text_attention=varlen", "train.compile=default"]
    changes += ["train.compile=reduce-overhead", "train.compile=max-autotune"]
    changes += [f"train.precision={name}" for name in ("fp32", "tf32", "bf16", "fp16")]
    found = {identity(recipe_path), *(identity(recipe_path, one) for one in changes)}
    assert len({run for run, _ in found}) == len(changes) + 1
    assert len({stage for _, stage in found}) == len(changes) + 1


def test_version_of_a_backbone_of_a_plugin_changes_the_fingerprint(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path, load_registry())
    found = set()
    for package, version in (("latte-a", "1"), ("latte-a", "2"), ("latte-b", "1")):
        backbone = replace(recipe.backbone, distribution=package, version=version)
        other = replace(recipe, backbone=backbone)
        found.add(stage_fingerprints(other, "images", "backbone")["zero-shot"])
    assert len(found) == 3


def test_package_and_version_of_what_trains_change_the_fingerprint(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path, load_registry())
    (learner,) = recipe.learners
    found = set()
    for package, version in (("latte-a", "1"), ("latte-a", "2"), ("latte-b", "1")):
        trainable = replace(learner.trainable, distribution=package, version=version)
        other = replace(recipe, learners=(replace(learner, trainable=trainable),))
        found.add(stage_fingerprints(other, "images", "backbone")["train"])
    assert len(found) == 3
