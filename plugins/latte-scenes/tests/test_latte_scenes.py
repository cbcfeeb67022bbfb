"""The types keep latte's contract, ask what they say, and weigh as they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from latte_author.testing import DescriptionTypeContract
from latte_author.testing.fixtures import make_context
from latte_scenes.types import (
    AttributesDescription,
    AttributesOptions,
    ObjectsDescription,
    ObjectsOptions,
    SceneDescription,
    SceneOptions,
)

from latte.api import DescriptionType, Options

TYPES: list[tuple[type[DescriptionType[Any]], type[Options], str, str]] = [
    (SceneDescription, SceneOptions, "image", "scene"),
    (ObjectsDescription, ObjectsOptions, "image", "objects"),
    (AttributesDescription, AttributesOptions, "group", "colours"),
]


class TestScene(DescriptionTypeContract):
    component = "scene"


class TestObjects(DescriptionTypeContract):
    component = "objects"


class TestAttributes(DescriptionTypeContract):
    component = "attributes"


@pytest.mark.parametrize(("kind", "options", "scope", "word"), TYPES)
def test_each_type_asks_for_its_own_subject(
    kind: type[DescriptionType[Any]],
    options: type[Options],
    scope: str,
    word: str,
    tmp_path: Path,
) -> None:
    description = kind(options(), make_context(tmp_path))
    assert description.scope == scope
    assert word in description.prompt("cup")


def test_a_scene_counts_half_and_a_recipe_can_change_that(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    assert SceneDescription(SceneOptions(), context).weight == 0.5
    assert SceneDescription(SceneOptions(weight=2), context).weight == 2
    assert ObjectsDescription(ObjectsOptions(), context).weight == 1


def test_several_questions_can_take_the_place_of_one(tmp_path: Path) -> None:
    options = ObjectsOptions(prompt=("What is this {class}?", "What else is there?"))
    description = ObjectsDescription(options, make_context(tmp_path))
    assert description.prompts("cup") == ("What is this cup?", "What else is there?")
