from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from latte.components.options import PhraseOptions
from latte.interfaces import LatteError
from latte.toolkit.descriptions import (
    ClassOptions,
    GroupOptions,
    ImageOptions,
    with_template,
)


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
        (lambda: PhraseOptions(words=7), "greater than or equal to 8"),
        (lambda: PhraseOptions.model_validate({"sections": 3}), "Extra inputs"),
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


def test_an_open_template_takes_the_datasets() -> None:
    options = with_template(ClassOptions(), "a satellite photo of {class}.")
    assert options == ClassOptions(template="a satellite photo of {class}.")


def test_a_template_of_ones_own_stays() -> None:
    own = ClassOptions(template="{class}, from above")
    assert with_template(own, "a photo of a {class}.") is own


def test_other_options_are_left_alone() -> None:
    options = ImageOptions()
    assert with_template(options, "no placeholder at all") is options


def test_a_dataset_with_a_bad_template_is_told() -> None:
    with pytest.raises(LatteError, match=r"must contain \{class\}"):
        with_template(ClassOptions(), "a photo.")
