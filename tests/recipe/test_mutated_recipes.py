"""Shipped recipes with random mistakes: every message names a place and says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from latte.interfaces import LatteError, RecipeErrors
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import load_registry
from tests.helpers.mutated_recipes import ENVIRONMENT, MutatedRecipe, mutated_recipes

COUNT = 100
PLACE = re.compile(r"(\S+\.yaml:[0-9]+(:[0-9]+)?|--set)( .+)?")
SAYS_WHAT_TO_WRITE = re.compile("expected |must |needs |not valid YAML: |.* holds a single value")
"""Messages that need no hint."""


def loaded(mutated: MutatedRecipe) -> Recipe:
    path = Path("r.yaml")
    path.write_text(mutated.text, encoding="utf-8")
    return load_recipe(path, load_registry(), mutated.overrides, ENVIRONMENT)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_mistake_of_a_mutated_recipe_has_a_place_and_a_way_out() -> None:
    mistakes: list[LatteError] = []
    for mutated in mutated_recipes(COUNT, seed=1):
        try:
            loaded(mutated)
        except RecipeErrors as error:
            mistakes += error.errors
        except LatteError as error:
            mistakes.append(error)
    assert len(mistakes) > COUNT
    for mistake in mistakes:
        assert PLACE.fullmatch(mistake.where or ""), mistake
        assert mistake.hint or SAYS_WHAT_TO_WRITE.match(mistake.what), mistake


def test_mutated_recipes_are_the_same_for_the_same_seed() -> None:
    first, again, other = ([*mutated_recipes(20, seed)] for seed in (3, 3, 4))
    assert first == again
    assert first != other
