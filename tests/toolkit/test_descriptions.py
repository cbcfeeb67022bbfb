from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from latte.interfaces import LatteError, Options
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
def test_filling_keeps_the_rest_of_the_sentence(beginning: str, name: str) -> None:
    beginning = beginning.replace("{class}", "")
    assert fill(f"{beginning}|{{class}}|", name) == f"{beginning}|{name}|"


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


def test_default_prompts_do_not_leak_the_frozen_label() -> None:
    image = ImageDescription(ImageOptions(), context())
    group = GroupDescription(GroupOptions(), context())
    assert image.prompt("rose") == image.prompt("tulip")
    assert group.prompt("rose") == group.prompt("tulip")


def test_several_prompts_are_all_asked_and_the_first_is_the_prompt() -> None:
    options = GroupOptions(prompt=("What do the {class}s share?", "Where are they?"))
    description = GroupDescription(options, context())
    assert description.prompts("rose") == ("What do the roses share?", "Where are they?")
    assert description.prompt("rose") == "What do the roses share?"


def test_counts_and_weights_are_those_of_the_options() -> None:
    group = GroupDescription(GroupOptions(samples=3, weight=2.5, groups_per_class=7), context())
    assert (group.samples, group.weight, group.groups_per_class) == (3, 2.5, 7)
    group = GroupDescription(GroupOptions(size=7, correct=3), context())
    assert (group.group_size, group.correct_images) == (7, 3)
    image = ImageDescription(ImageOptions(), context())
    assert (image.samples, image.weight, image.groups_per_class) == (1, 1.0, None)
    assert image.correct_images is None
    assert GroupDescription(GroupOptions(), context()).correct_images is None
    template = ClassDescription(ClassOptions(template="a {class}.", weight=0.5), context())
    assert template.weight == 0.5


def test_options_tell_their_scope_without_an_instance() -> None:
    assert [o.scope for o in (ClassOptions, ImageOptions, GroupOptions)] == [
        "class",
        "image",
        "group",
    ]


def test_importing_options_does_not_import_torch() -> None:
    code = "import latte.toolkit.descriptions, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (lambda: ClassOptions(template="a photo."), "must contain {class}"),
        (lambda: ClassOptions(template="a photo of a {}."), "unknown placeholder {}"),
        (lambda: ClassOptions(template="a {class} and a {label}"), "unknown placeholder {label}"),
        (lambda: ImageOptions(prompt="What does the {clas} do?"), "unknown placeholder {clas}"),
        (lambda: GroupOptions(prompt=" "), "must not be empty"),
        (lambda: ImageOptions(prompt=()), "needs at least one prompt"),
        (lambda: ImageOptions(prompt=("a", "b", "a")), '"a" stands here twice'),
        (lambda: GroupOptions(prompt=("a", "the {clas}")), "unknown placeholder {clas}"),
        (lambda: GroupOptions(prompt=("a", " ")), "must not be empty"),
        (lambda: ImageOptions(samples=0), "greater than or equal to 1"),
        (lambda: GroupOptions(samples=17), "less than or equal to 16"),
        (lambda: ClassOptions(weight=0), "greater than 0"),
        (lambda: ImageOptions(weight=float("inf")), "finite number"),
        (lambda: GroupOptions(groups_per_class=0), "greater than or equal to 1"),
        (lambda: GroupOptions(correct=2, groups_per_class=3), "cannot stand beside correct"),
        (lambda: GroupOptions(size=1), "greater than or equal to 2"),
        (lambda: GroupOptions(size=17), "less than or equal to 16"),
        (lambda: GroupOptions(size=3, correct=4), "must be at most 3, the size of the group"),
        (lambda: GroupOptions(correct=-1), "greater than or equal to 0"),
    ],
)
def test_mistakes_are_named(options: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("{", r"\{").replace("}", r"\}")):
        options()  # type: ignore[operator]


def test_only_the_number_of_correct_images_reads_labels() -> None:
    assert GroupOptions.oracle_options == ("correct",)
    assert GroupOptions().correct is None
    assert [GroupOptions(size=4, correct=correct).correct for correct in (0, 4)] == [0, 4]
    assert (ClassOptions.oracle_options, ImageOptions.oracle_options) == ((), ())


def test_prompts_may_hold_json_and_the_class() -> None:
    prompt = 'Answer as {"text": ...} what the {class} does.'
    assert ImageOptions(prompt=prompt).prompt == prompt


@pytest.mark.parametrize("options", [ClassOptions(template="{class}, from above"), ImageOptions()])
def test_a_template_of_ones_own_and_other_options_stay(options: Options) -> None:
    assert with_template(options, "no placeholder at all") is options


def test_a_dataset_with_a_bad_template_is_told() -> None:
    with pytest.raises(LatteError, match=r"must contain \{class\}"):
        with_template(ClassOptions(), "a photo.")


def test_description_uses_the_options_of_its_subclass() -> None:
    class ColourOptions(ImageOptions):
        colour: str = "red"

    class ColourDescription(ImageDescription[ColourOptions]):
        def prompts(self, class_name: str) -> tuple[str, ...]:
            return (f"Is the {class_name} {self.options.colour}?",)

    colour_question = ColourDescription(ColourOptions(colour="blue"), context())
    assert colour_question.prompts("cup") == ("Is the cup blue?",)
    assert colour_question.scope == "image"
