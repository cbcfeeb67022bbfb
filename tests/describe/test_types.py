from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.toolkit.descriptions import (
    ClassDescription,
    ClassOptions,
    GroupDescription,
    GroupOptions,
    ImageDescription,
    ImageOptions,
    fill,
    with_template,
)
from tests.helpers.describe_doubles import context


@pytest.mark.parametrize("name", ["{class}", "{0}", "{}", "%s", "{class}{class}", "\\g<0>", "no"])
def test_a_class_may_be_called_anything(name: str) -> None:
    assert fill("a {class}, yes, a {class}!", name) == f"a {name}, yes, a {name}!"


@given(st.text(), st.text())
def test_filling_keeps_the_rest_of_the_sentence(before: str, name: str) -> None:
    before = before.replace("{class}", "")
    assert fill(f"{before}|{{class}}|", name) == f"{before}|{name}|"


def test_a_class_description_is_its_filled_template() -> None:
    options = with_template(ClassOptions(), "a photo of a {class}.")
    assert isinstance(options, ClassOptions)
    description = ClassDescription(options, context())
    assert description.prompt("dog") == "a photo of a dog."
    assert (description.scope, description.group_size) == ("class", 1)


def test_forgetting_the_datasets_template_is_a_bug() -> None:
    with pytest.raises(RuntimeError, match="with_template"):
        ClassDescription(ClassOptions(), context()).prompt("dog")


def test_prompts_may_name_the_frozen_label() -> None:
    options = ImageOptions(prompt="Describe the {class} flower.")
    assert ImageDescription(options, context()).prompt("rose") == "Describe the rose flower."


def test_description_uses_the_options_of_its_subclass() -> None:
    class ColourOptions(ImageOptions):
        colour: str = "red"

    class ColourDescription(ImageDescription[ColourOptions]):
        def prompts(self, class_name: str) -> tuple[str, ...]:
            return (f"Is the {class_name} {self.options.colour}?",)

    asked = ColourDescription(ColourOptions(colour="blue"), context())
    assert asked.prompts("cup") == ("Is the cup blue?",)
    assert asked.scope == "image"


def test_default_prompts_do_not_leak_the_frozen_label() -> None:
    image = ImageDescription(ImageOptions(), context())
    group = GroupDescription(GroupOptions(), context())
    assert image.prompt("rose") == image.prompt("tulip")
    assert group.prompt("rose") == group.prompt("tulip")


def test_a_group_has_the_size_of_its_options() -> None:
    assert GroupDescription(GroupOptions(size=7), context()).group_size == 7


def test_correct_images_are_those_of_the_options_and_none_for_others() -> None:
    assert GroupDescription(GroupOptions(), context()).correct_images is None
    assert GroupDescription(GroupOptions(correct=3), context()).correct_images == 3
    assert ImageDescription(ImageOptions(), context()).correct_images is None


def test_several_prompts_are_all_asked_and_the_first_is_the_prompt() -> None:
    options = GroupOptions(prompt=("What do the {class}s share?", "Where are they?"))
    description = GroupDescription(options, context())
    assert description.prompts("rose") == ("What do the roses share?", "Where are they?")
    assert description.prompt("rose") == "What do the roses share?"


def test_counts_and_weights_are_those_of_the_options() -> None:
    group = GroupDescription(GroupOptions(samples=3, weight=2.5, groups_per_class=7), context())
    assert (group.samples, group.weight, group.groups_per_class) == (3, 2.5, 7)
    image = ImageDescription(ImageOptions(), context())
    assert (image.samples, image.weight, image.groups_per_class) == (1, 1.0, None)
    template = ClassDescription(ClassOptions(template="a {class}.", weight=0.5), context())
    assert template.weight == 0.5
