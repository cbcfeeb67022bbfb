"""`--set key.path=value`."""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latte.interfaces import LatteError
from latte.recipe.document import DocumentBuilder
from latte.recipe.errors import Mistakes
from latte.recipe.merge import merged
from latte.recipe.overrides import read_override
from latte.recipe.places import OVERRIDE, Document, Layer, Place
from latte.recipe.spell import spelled_out
from latte.registry.registry import Registry
from tests.helpers.recipes import LEARNERS, MINIMAL, TRAINING, Complaints, Load


def put(override: str) -> object:
    mistakes = Mistakes()
    file = Layer("r.yaml", Document({}, {(): Place("r.yaml", 1)}))
    layer = read_override(override, "r.yaml", DocumentBuilder(OVERRIDE, {"A": "one"}, mistakes))
    mistakes.raise_if_any()
    assert layer is not None
    recipe = merged([file, spelled_out(layer, mistakes)], Registry([]), mistakes).whole
    mistakes.raise_if_any()
    return recipe.data


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1e-6", 1e-6),
        ("no", "no"),
        ("true", True),
        ("", None),
        ("'1'", "1"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
        ("{a: 1}", {"a": 1}),
        ("Describe it: briefly # please", "Describe it: briefly # please"),
        ("a=b", "a=b"),
        ("*a", "*a"),
        ("${A}/x", "one/x"),
    ],
)
def test_values_are_read_as_in_the_file(text: str, meant: object) -> None:
    assert put(f"train.x={text}") == {"train": {"x": meant}}


def test_a_number_in_place_of_text_is_quoted_as_written_and_for_a_shell(
    load: Load, complaints: Complaints
) -> None:
    (message,) = complaints(MINIMAL, "name=0012")
    command = "'\"0012\"'"
    assert message == (
        f"--set name: expected text, got the number 12\n  Put it in quotes: {command}."
    )
    (value,) = shlex.split(command)
    assert load(MINIMAL, f"name={value}").name == "0012"


def test_overrides_replace_values_of_the_file(load: Load) -> None:
    recipe = load(
        TRAINING,
        "train.max_steps=5",
        "train.optimizer.learning_rate=1e-6",
        "descriptions.2.size=8",
        "labels.0.weight=0.5",
    )
    assert recipe.train.max_steps == 5
    assert recipe.train.optimizer.learning_rate == 1e-6
    assert recipe.resolved["descriptions"][2]["size"] == 8
    assert recipe.resolved["labels"][0] == {"use": "frozen", "weight": 0.5}


def test_items_of_lists_are_found_by_name(load: Load) -> None:
    names = ("descriptions.group.size=8", "labels.frozen.weight=0.5")
    indices = ("descriptions.2.size=8", "labels.0.weight=0.5")
    assert load(TRAINING, *names).resolved == load(TRAINING, *indices).resolved


def test_an_item_with_a_name_is_found_by_this_name_only(load: Load, complaints: Complaints) -> None:
    renamed = ("descriptions.group.name=four", "descriptions.four.size=3")
    assert load(TRAINING, *renamed).resolved["descriptions"][2]["size"] == 3
    (message,) = complaints(TRAINING, *renamed, "descriptions.group.size=2")
    assert "By name: class, image, four." in message


def test_items_of_lists_in_controls_are_found_by_name(load: Load) -> None:
    text = TRAINING + "controls: {one: {labels: [current, frozen]}}\n"
    recipe = load(text, "controls.one.labels.frozen.weight=0.5")
    assert recipe.controls["one"].resolved["labels"][1]["weight"] == 0.5


def test_a_name_of_two_items_lists_their_index_paths(complaints: Complaints) -> None:
    text = TRAINING + "reporters: [html, {use: html, title: x}]\n"
    messages = complaints(text, "reporters.html.gallery=1")
    assert messages[-1] == (
        '--set reporters.html.gallery: reporters has 2 items "html"\n'
        "  Write reporters.0 or reporters.1."
    )


def test_a_mapping_replaces_what_was_there(load: Load) -> None:
    text = TRAINING.replace("momentum: 0.99", "momentum: 0.5")
    options = load(text, "prototypes={use: momentum, mixer: mean}").resolved["learners"][0]
    assert (options["prototypes"]["momentum"], options["prototypes"]["mixer"]) == (0.99, "mean")


def test_a_short_form_changes_the_only_learner_whatever_its_name(
    load: Load, complaints: Complaints
) -> None:
    single_learner = MINIMAL + "learners: [{name: a, trainable: projections}]\n"
    (learner,) = load(single_learner, "prototypes.use=templates", "trainable=all").learners
    assert (learner.name, learner.trainable.spec.name) == ("a", "all")
    (message,) = complaints(MINIMAL + LEARNERS, "loss.temperature=1")
    assert message == (
        "--set loss.temperature: the recipe has 2 learners, and this does not name one of them\n"
        "  Write learners.NAME.loss.temperature."
    )


def test_the_last_override_of_a_key_wins(load: Load) -> None:
    assert load(MINIMAL, "seed=1", "seed=2").seed == 2


def test_origin_of_overrides_is_set(load: Load) -> None:
    origins = load(TRAINING, "train.max_steps=5", "labels=[current]").origins
    assert origins["train.max_steps"] == "--set"
    assert origins["labels.0.use"] == "--set"
    assert origins["train.max_epochs"] == "default"


def test_another_component_drops_the_options_of_the_previous(load: Load) -> None:
    recipe = load(TRAINING, "prototypes.use=templates", "prototypes.refresh=step")
    assert recipe.resolved["learners"][0]["prototypes"] == {"use": "templates", "refresh": "step"}


def test_naming_the_same_component_keeps_its_options(load: Load) -> None:
    recipe = load(TRAINING, "prototypes.momentum=0.5", "prototypes.use=momentum")
    assert recipe.resolved["learners"][0]["prototypes"]["momentum"] == 0.5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.max_stps=5", '--set train.max_stps: unknown key "max_stps"'),
        ("seed", "--set seed: is not KEY.PATH=VALUE"),
        (".seed=1", "--set .seed=1: is not KEY.PATH=VALUE"),
        ("labels.7.weight=1", "--set labels.7.weight: labels is a list without an item 7"),
        ("labels.use=frozen", "--set labels.use: labels is a list without an item use"),
        (
            "labels.forzen.weight=1",
            "--set labels.forzen.weight: labels is a list without an item forzen\n"
            '  Items are counted from 0; its items are 0 to 1. Did you mean "frozen"? By name: ',
        ),
        ("reporters.0.use=html", "--set reporters.0.use: the recipe has no list reporters"),
        ("guard.0=evidence", "--set guard.0: the recipe has no list guard, so it has no item 0"),
        ("backbone.model.x=1", "--set backbone.model.x: backbone.model holds a single value"),
        ("seed=[1", "--set seed: not valid YAML: expected ',' or ']'"),
        ("seed=${NOBODY}", "--set seed: the environment variable NOBODY is not set"),
        ("seed='1'", '--set seed: expected a whole number, got the text "1"'),
    ],
)
def test_mistakes_in_overrides_name_the_override(
    complaints: Complaints, override: str, message: str
) -> None:
    (complaint,) = complaints(TRAINING, override)
    assert complaint.startswith(message)


def test_mistakes_in_overrides_come_after_those_in_the_file(complaints: Complaints) -> None:
    messages = complaints(MINIMAL + "sed: 1\n", "trin.x=1", "seed=x")
    assert [message.split(":")[0] for message in messages] == ["r.yaml", "--set seed", "--set trin"]


@settings(deadline=None)
@given(st.text())
def test_any_override_raises_only_latte_errors(override: str) -> None:
    try:
        put(override)
    except LatteError as error:
        assert str(error).startswith("--set")


@settings(deadline=None)
@given(st.text(alphabet="abc:# -{}[]'\"!&*|>%@`\\", min_size=1).map(str.strip))
def test_unquoted_override_text_is_taken_literally(text: str) -> None:
    if text and text[0] not in "[{\"'":
        assert put(f"x={text}") == {"x": text}
