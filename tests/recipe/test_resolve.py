"""The resolved recipe is complete, and loads as the same recipe."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latte.interfaces import Options
from latte.interfaces.settings import (
    BackboneSettings,
    EvaluateSettings,
    TrainSettings,
)
from latte.recipe.dump import dump_yaml
from latte.recipe.model import Recipe, RecipeKeys
from tests.helpers.recipes import LEARNERS, MINIMAL, TRAINING, Load

pytestmark = pytest.mark.thorough

EVERYTHING = """\
name: all
requires: [pydantic>=2]
backbone: {model: ViT-B-32}
dataset: {use: folder, root: "${DATA}/x", classes: [no, "1e3", "$${x}"]}
describer: {use: remote, model: x, limit: "3", cache: a/b, retry: {wait: 1}}
descriptions: [class, {use: image, name: other}, {use: group, size: 8}, scene]
labels: [frozen, {use: current, weight: 0.5}]
prototypes: {use: momentum, momentum: 0.5}
loss: latte-clip/contrastive
reporters: [silent]
controls:
  a: {prototypes: {use: latte-clip/momentum, mixer: mean}}
  b: {describer: {use: remote, limit: 7}, loss: latte-scenes/contrastive}
  c: {learners: [{name: one, loss: latte-clip/contrastive, trainable: projections}]}
  d: {train: {max_steps: 0}, describer: null, descriptions: [], labels: [], loss: null}
"""


def assert_resolves_to_itself(load: Load, recipe: Recipe) -> None:
    reloaded = load(dump_yaml(recipe.resolved))
    assert reloaded.resolved == recipe.resolved
    assert reloaded.learners == recipe.learners
    assert reloaded.descriptions == recipe.descriptions
    for name, control in recipe.controls.items():
        assert reloaded.controls[name].resolved == control.resolved
        assert_resolves_to_itself(load, control)


@pytest.mark.parametrize("text", [MINIMAL, TRAINING, MINIMAL + LEARNERS, EVERYTHING])
def test_a_resolved_recipe_resolves_to_itself(load: Load, text: str) -> None:
    assert_resolves_to_itself(load, load(text, DATA="/d"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    template=st.text(st.characters(codec="utf-8")).map(lambda text: text + "{class}"),
    rate=st.floats(min_value=0, allow_infinity=False),
    clip=st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    steps=st.integers(min_value=1, max_value=10**18),
    scale=st.tuples(st.floats(0, 0.5, exclude_min=True), st.floats(0.5, 1)),
    classes=st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4),
)
def test_a_resolved_recipe_with_any_values_resolves_to_itself(
    load: Load,
    template: str,
    rate: float,
    clip: float | None,
    steps: int,
    scale: tuple[float, float],
    classes: list[str],
) -> None:
    data = {
        "backbone": {"model": "ViT-B-32"},
        "dataset": {"use": "folder", "root": "x", "classes": classes, "template": template},
        "labels": ["frozen"],
        "loss": "latte-clip/contrastive",
        "train": {
            "max_steps": steps,
            "optimizer": {"learning_rate": rate, "gradient_clip": clip},
        },
        "augmentation": {"crop_scale": list(scale)},
    }
    recipe = load(dump_yaml(data))
    assert recipe.train.optimizer.learning_rate == rate
    assert recipe.resolved["dataset"]["template"] == template
    assert_resolves_to_itself(load, recipe)


def fields(model: type[Options]) -> set[str]:
    return {*model.model_fields}


def test_every_default_is_filled_in(load: Load) -> None:
    resolved = load(TRAINING).resolved
    assert fields(RecipeKeys) - {"encoders"} == {*resolved}  # left out where there is none
    assert {*resolved["backbone"]} == {"use"} | fields(BackboneSettings)
    assert {*resolved["train"]} == fields(TrainSettings)
    assert {*resolved["evaluate"]} == fields(EvaluateSettings)
    assert resolved["learners"][0]["prototypes"]["mixer"] == "dynamic"
    assert resolved["reporters"][1] == {"use": "model-card"}


def test_resolved_component_names_stay_unique(load: Load) -> None:
    resolved = load(EVERYTHING, DATA="/d").resolved
    assert resolved["describers"][0]["use"] == "latte-scenes/remote"
    assert resolved["learners"][0]["prototypes"]["use"] == "momentum"
    assert resolved["learners"][0]["loss"]["use"] == "latte-clip/contrastive"
    assert resolved["controls"]["a"]["learners"][0]["prototypes"]["use"] == "momentum"
    assert resolved["controls"]["b"]["describers"][0]["use"] == "latte-scenes/remote"


def test_every_value_has_an_origin(load: Load) -> None:
    origins = load(EVERYTHING, "seed=4", DATA="/d").origins
    assert origins["name"] == "r.yaml:1"
    assert origins["seed"] == "--set"
    assert origins["dataset.root"] == "r.yaml:4 ${DATA}"
    assert origins["dataset.classes.1"] == "r.yaml:4"
    assert origins["dataset.template"] == "default"
    assert origins["descriptions.0.use"] == "r.yaml:6"
    assert origins["describers.0.retry.wait"] == "r.yaml:5"
    assert origins["describers.0.retry.times"] == "default"
    assert origins["controls.a.learners.0.prototypes.mixer"] == "r.yaml:12"


def test_origins_of_a_control_are_those_of_its_own_recipe(load: Load) -> None:
    control = load(EVERYTHING, DATA="/d").controls["a"]
    assert control.origins["learners.0.prototypes.mixer"] == "r.yaml:12"
    assert control.origins["learners.0.prototypes.momentum"] == "r.yaml:8"


def test_only_variables_of_the_recipe_are_read(load: Load) -> None:
    recipe = load(EVERYTHING, DATA="/d", TOKEN="hidden")
    assert "hidden" not in repr(recipe)
