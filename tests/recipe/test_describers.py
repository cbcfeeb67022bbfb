"""One describer or several, and the describer that each description asks."""

from __future__ import annotations

import pytest

from latte.recipe.dump import dump_yaml
from tests.helpers.recipes import MINIMAL, Complaints, Load

TWO = MINIMAL + (
    "describers: [phrases, {use: remote, model: x, name: large}]\n"
    "descriptions:\n"
    "  - class\n"
    "  - image\n"
    "  - {use: group, by: BY}\n"
)


def test_a_description_asks_the_first_describer_or_the_named_one(load: Load) -> None:
    recipe = load(TWO.replace("BY", "large"))
    assert [choice.label for choice in recipe.describers] == ["phrases", "large"]
    assert recipe.asked == {"class": "phrases", "image": "phrases", "group": "large"}


def test_naming_the_first_describer_equals_naming_none(load: Load) -> None:
    explicit = load(TWO.replace("BY", "phrases"))
    unnamed = load(TWO.replace(", by: BY", ""))
    assert explicit.resolved == unnamed.resolved
    assert explicit.descriptions == unnamed.descriptions


def test_a_single_describer_may_be_named(load: Load) -> None:
    text = (
        MINIMAL + "describer: {use: phrases, name: mine}\ndescriptions: [{use: image, by: mine}]\n"
    )
    recipe = load(text)
    assert recipe.asked == {"image": "mine"}
    assert [describer["name"] for describer in recipe.resolved["describers"]] == ["mine"]


@pytest.mark.parametrize("by", ["large", "phrases"])
def test_the_resolved_recipe_loads_again(load: Load, by: str) -> None:
    recipe = load(TWO.replace("BY", by))
    reloaded = load(dump_yaml(recipe.resolved))
    assert reloaded.resolved == recipe.resolved
    assert reloaded.describers == recipe.describers
    assert reloaded.descriptions == recipe.descriptions
    assert recipe.origins["describers.1.model"] == "r.yaml:4"


def test_lists_of_prompts_load_again(load: Load) -> None:
    text = MINIMAL + (
        "describer: phrases\n"
        'descriptions: [{use: image, prompt: ["What?", "Where is the {class}?"], weight: 2}]\n'
    )
    recipe = load(text)
    assert recipe.resolved["descriptions"][0]["prompt"] == ["What?", "Where is the {class}?"]
    assert load(dump_yaml(recipe.resolved)).descriptions == recipe.descriptions


def test_an_unknown_describer_suggests_the_nearest(complaints: Complaints) -> None:
    (message,) = complaints(TWO.replace("BY", "lage"))
    assert message == (
        'r.yaml:8 descriptions.group.by: no describer of this recipe is called "lage"\n'
        '  Did you mean "large"? Its describers: phrases, large.'
    )


def test_class_descriptions_cannot_name_a_describer(complaints: Complaints) -> None:
    text = MINIMAL + "describer: phrases\ndescriptions: [{use: class, by: phrases}]\n"
    (message,) = complaints(text)
    assert 'descriptions.class.by: "class" is about classes, and asks no describer' in message


def test_by_is_text(complaints: Complaints) -> None:
    (message,) = complaints(TWO.replace("BY", "3"))
    assert message.startswith("r.yaml:8 descriptions.group.by: expected text, got the number 3")


def test_describer_and_describers_exclude_each_other(complaints: Complaints) -> None:
    (message,) = complaints(TWO.replace("BY", "large") + "describer: phrases\n")
    assert message.startswith('r.yaml:4 describers: "describers" cannot stand beside "describer"')
    assert 'Move the describer into the list, or remove "describers".' in message


def test_only_descriptions_can_name_a_describer(complaints: Complaints) -> None:
    text = MINIMAL + "describer: {use: phrases, by: phrases}\ndescriptions: [image]\n"
    (message,) = complaints(text)
    assert 'describer.by: unknown key "by"' in message


def test_describers_need_unique_names(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "describers: [phrases, phrases]\ndescriptions: [image]\n")
    assert 'describers.1: a second item of this list is called "phrases"' in message


def test_a_wrong_describer_is_reported_once(complaints: Complaints) -> None:
    (message,) = complaints(TWO.replace("BY", "large").replace("remote", "remot"))
    assert 'describers.large.use: no describer named "remot"' in message


def test_image_descriptions_need_a_describer_in_the_list(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "describers: []\ndescriptions: [image]\n")
    assert "there is no describer to look at them" in message


CONTROL = TWO.replace("BY", "large") + "controls: {it: CHANGE}\n"


@pytest.mark.parametrize(
    "change",
    ["{describer: null, descriptions: [class]}", "{describers: [], descriptions: [class]}"],
)
def test_a_control_may_have_no_describer(load: Load, change: str) -> None:
    recipe = load(CONTROL.replace("CHANGE", change))
    assert recipe.controls["it"].describers == ()
    assert load(dump_yaml(recipe.resolved)).resolved == recipe.resolved


def test_a_control_may_replace_several_describers_by_one_and_reverse(load: Load) -> None:
    single = load(CONTROL.replace("CHANGE", "{describer: phrases, descriptions: [image]}"))
    assert [choice.label for choice in single.controls["it"].describers] == ["phrases"]
    pair = load(
        MINIMAL + "describer: phrases\ndescriptions: [image]\n"
        "controls: {it: {describers: [phrases, {use: remote, model: x}]}}\n"
    )
    assert [choice.label for choice in pair.controls["it"].describers] == ["phrases", "remote"]
    assert load(dump_yaml(pair.resolved)).resolved == pair.resolved


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("prompt: []", "prompt: needs at least one prompt"),
        ("prompt: [a, a]", 'prompt: "a" stands here twice; use samples to ask it several times'),
        ("prompt: 7", "prompt: expected text or a list, got the number 7"),
        ("prompt: [a, 7]", "prompt.1: expected text, got the number 7"),
        ("samples: 0", "samples: must be at least 1, got 0"),
        ("weight: 0", "weight: must be greater than 0.0, got 0"),
        ("groups_per_class: 0", "groups_per_class: must be at least 1, got 0"),
    ],
)
def test_mistakes_in_the_options_of_descriptions(
    complaints: Complaints, options: str, expected: str
) -> None:
    text = MINIMAL + f"describer: phrases\ndescriptions: [{{use: group, {options}}}]\n"
    (message,) = complaints(text)
    assert message.startswith(f"r.yaml:5 descriptions.group.{expected}")


@pytest.mark.parametrize(("value", "names"), [("phrases", ["phrases"]), ("null", [])])
def test_set_replaces_all_describers(load: Load, value: str, names: list[str]) -> None:
    recipe = load(TWO.replace("BY", "phrases"), f"describer={value}", "descriptions=[class]")
    assert [choice.label for choice in recipe.describers] == names


def test_set_of_an_option_names_one_of_several_describers(
    load: Load, complaints: Complaints
) -> None:
    text = TWO.replace("BY", "large")
    (message,) = complaints(text, "describer.words=9")
    assert message == (
        "--set describer.words: the recipe has 2 describers, and this does not name one of them\n"
        "  Write describers.NAME.words."
    )
    recipe = load(text, "describers.phrases.words=9")
    assert recipe.resolved["describers"][0]["words"] == 9
