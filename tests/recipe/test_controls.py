"""Controls: variants of a recipe that run for comparison."""

import pytest

from latte.recipe.model import Recipe
from tests.helpers.recipes import MINIMAL, TRAINING, Complaints, Load


def control(load: Load, written: str, recipe: str = TRAINING) -> Recipe:
    return load(recipe + f"controls: {{variant: {written}}}\n").controls["variant"]


def test_a_control_is_the_recipe_with_other_values(load: Load) -> None:
    recipe = load(TRAINING + "seed: 3\ncontrols: {short: {train: {max_steps: 7}}}\n")
    short = recipe.controls["short"]
    assert (recipe.train.max_steps, short.train.max_steps) == (2000, 7)
    assert (short.seed, short.name) == (3, recipe.name)
    assert short.descriptions == recipe.descriptions
    assert short.controls == {}


def test_mappings_are_merged_by_key(load: Load) -> None:
    options = control(load, "{prototypes: {mixer: mean}}").resolved["learners"][0]["prototypes"]
    assert (options["momentum"], options["mixer"]) == (0.99, "mean")


def test_naming_the_same_component_merges_too_however_it_is_written(load: Load) -> None:
    changed = control(load, "{prototypes: {use: latte-clip/momentum, mixer: mean}}")
    assert changed.resolved["learners"][0]["prototypes"]["momentum"] == 0.99
    assert changed.resolved["learners"][0]["prototypes"]["mixer"] == "mean"


def test_another_component_replaces_the_first_with_its_options(load: Load) -> None:
    assert control(load, "{prototypes: templates}").resolved["learners"][0]["prototypes"] == {
        "use": "templates",
        "refresh": "start",
    }


def test_lists_are_replaced(load: Load) -> None:
    assert [choice.label for choice in control(load, "{labels: [current]}").labels] == ["current"]


def test_null_removes_a_component(load: Load) -> None:
    changed = control(load, "{describer: null, descriptions: []}")
    assert changed.describers == ()


def test_learners_replace_the_single_learner(load: Load) -> None:
    learners = "{learners: [{name: a, loss: latte-clip/contrastive}]}"
    assert [learner.name for learner in control(load, learners).learners] == ["a"]


def test_mistakes_point_into_the_controls(complaints: Complaints) -> None:
    text = MINIMAL + "controls:\n  a:\n    train:\n      max_stps: 1\n  b:\n    labels: frozen\n"
    messages = complaints(text)
    assert [message.split(": ")[0] for message in messages] == [
        "r.yaml:7 controls.a.train.max_stps",
        "r.yaml:9 controls.b.labels",
    ]


def test_a_control_changes_one_item_of_a_list_by_its_name(
    load: Load, complaints: Complaints
) -> None:
    changed = control(load, "{labels: {current: {weight: 0.5}}}")
    assert changed.resolved["labels"] == [
        {"use": "frozen", "weight": 1.0},
        {"use": "current", "weight": 0.5},
    ]
    (message,) = complaints(TRAINING + "controls:\n  a: {labels: {curent: {weight: 0.5}}}\n")
    assert message.startswith("r.yaml:9 controls.a.labels.curent: labels is a list without an item")


def test_mistakes_of_the_recipe_are_not_repeated_for_each_control(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "sed: 1\ncontrols: {a: {}, b: {train: {max_epochs: 3}}}\n")
    assert message.startswith("r.yaml:4 sed")


def test_a_control_is_checked_as_a_recipe(complaints: Complaints) -> None:
    messages = complaints(MINIMAL + "controls:\n  trained: {train: {max_steps: 1}}\n")
    assert [message.split(": ")[0] for message in messages] == [
        "r.yaml:5 controls.trained.labels",
        "r.yaml:5 controls.trained.loss",
    ]


@pytest.mark.parametrize("key", ["prototypes", "trainable"])
def test_unset_variable_in_a_recipe_is_reported_once_beside_a_control(
    complaints: Complaints, key: str
) -> None:
    text = f"{MINIMAL}{key}: ${{NOBODY}}\ncontrols: {{a: {{evaluate: {{batch_size: 1}}}}}}\n"
    (message,) = complaints(text)
    assert message.startswith(f"r.yaml:4 {key}: the environment variable NOBODY is not set")


@pytest.mark.parametrize("key", ["name", "seed", "output", "device", "requires", "controls"])
def test_a_control_cannot_set_shared_keys(complaints: Complaints, key: str) -> None:
    (message,) = complaints(MINIMAL + f"controls: {{a: {{{key}: 1}}}}\n")
    assert message.startswith(f'r.yaml:4 controls.a.{key}: a control cannot set "{key}"')


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ("[a]", "controls: expected a mapping (key: value), got a list"),
        ("{a: 3}", "controls.a: expected a mapping (key: value), got the number 3"),
        ("{../a: {}}", 'controls.../a: "../a" cannot be used as a name'),
        ("{zero-shot: {}}", 'every report has a model called "zero-shot" already'),
    ],
)
def test_unusable_controls(complaints: Complaints, controls: str, message: str) -> None:
    (complaint,) = complaints(MINIMAL + f"controls: {controls}\n")
    assert message in complaint


@pytest.mark.parametrize("none", ["null", "{}", "{short: null}"])
def test_null_and_an_empty_mapping_mean_no_controls(load: Load, none: str) -> None:
    without = load(TRAINING)
    written = load(TRAINING + f"controls: {none}\n")
    overridden = load(TRAINING + "controls: {short: {train: {max_steps: 7}}}\n", f"controls={none}")
    assert without.resolved == written.resolved == overridden.resolved


def test_overrides_reach_controls(load: Load) -> None:
    text = TRAINING + "controls: {short: {train: {max_steps: 7}}}\n"
    recipe = load(text, "controls.short.train.max_steps=8", "controls.short.prototypes=templates")
    assert recipe.controls["short"].train.max_steps == 8
    assert recipe.origins["controls.short.train.max_steps"] == "--set"
    assert recipe.resolved["controls"]["short"]["learners"][0]["prototypes"] == {"use": "templates"}
