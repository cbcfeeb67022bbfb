"""Every recipe that ships is valid, and says so to the command that people type."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.recipe.load import load_recipe
from latte.recipe.model import Choice, Recipe
from latte.registry.plugin import BUILTIN_DISTRIBUTION
from latte.registry.registry import load_registry

FOLDER = Path(__file__).parent.parent / "recipes"
NOT_RECIPES = {FOLDER / "paper" / "published.yaml"}
RECIPES = sorted({*FOLDER.rglob("*.yaml")} - NOT_RECIPES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_shipped_recipe_is_valid_and_shows_how_to_run_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("IMAGES", "CLASSES"):
        monkeypatch.setenv(variable, "somewhere")
    recipe = load_recipe(path, load_registry())
    used = {component.distribution for component in components(recipe)} - {BUILTIN_DISTRIBUTION}
    if recipe.backbone.model.startswith("plugin:"):
        used.add("latte-tiny")
    required = {re.split(r"[<>=]", one)[0] for one in recipe.general.requires}
    assert used == required, "it names the plugins that it needs, and no others"
    assert f"latte run recipes/{path.relative_to(FOLDER).as_posix()}" in path.read_text()


def components(recipe: Recipe) -> list[Choice]:
    learners = [one for learner in recipe.learners for one in (learner.prototypes, learner.loss)]
    single = (recipe.dataset, recipe.guard, *recipe.describers, *learners)
    return [
        one for one in (*single, *recipe.descriptions, *recipe.labels, *recipe.reporters) if one
    ]


SWEEPS = [
    command
    for path in RECIPES
    for command in re.findall(r"^#\s+(latte sweep .*)$", path.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("command", SWEEPS)
def test_a_sweep_that_a_recipe_shows_is_valid(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER.parent)
    assert run_command_line([*shlex.split(command)[1:], "--dry-run"]) == 0


def test_there_are_recipes() -> None:
    assert {FOLDER / "demo.yaml", FOLDER / "ablations" / "group-size.yaml"} <= {*RECIPES}
    assert any("descriptions.2.correct=" in command for command in SWEEPS)


def test_the_recipe_in_the_readme_is_valid(tmp_path: Path) -> None:
    readme = (FOLDER.parent / "README.md").read_text()
    written, *parts = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    path = tmp_path / "birds.yaml"
    path.write_text(written)
    assert load_recipe(path, load_registry()).general.name == "birds"
    for part in parts:
        control = textwrap.indent(part, "    ")
        path.write_text(f"{written}controls:\n  with-other-keys:\n{control}")
        assert load_recipe(path, load_registry()).controls
