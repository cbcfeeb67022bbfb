"""All shipped recipes are valid, and their first lines are correct commands."""

from __future__ import annotations

import re
import shlex
import textwrap
from functools import cache
from pathlib import Path

import pytest
from latte_benchmarks.facts import all_facts

from latte.cli.main import run_command_line
from latte.recipe.component import ChosenComponent
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.recipe.shipped import DATA, PARTS
from latte.registry.registry import load_registry
from latte.registry.spec import BUILTIN_DISTRIBUTION

FOLDER = Path(__file__).parent.parent / "recipes"
RECIPES = sorted(
    path
    for path in FOLDER.rglob("*.yaml")
    if path.relative_to(FOLDER).parts[0] not in (PARTS, DATA)
)
PARTS_OF_RECIPES = sorted((FOLDER / PARTS).rglob("*.yaml"))


@pytest.fixture(autouse=True)
def whose_images(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("IMAGES", "CLASSES"):
        monkeypatch.setenv(variable, "somewhere")


@cache
def loaded(path: Path) -> Recipe:
    return load_recipe(path, load_registry())


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").as_posix()


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_shipped_recipe_is_valid_and_shows_how_to_run_it(path: Path) -> None:
    recipe = loaded(path)
    used = {component.distribution for component in components(recipe)} - {BUILTIN_DISTRIBUTION}
    if recipe.backbone.options.model.startswith("plugin:"):
        used.add("latte-tiny")
    required = {re.split(r"[<>=]", requirement)[0] for requirement in recipe.requires}
    assert used == required, "it names the plugins that it needs, and no others"
    commands = re.findall(r"latte run (?:recipes/)?([a-z0-9/-]+)", path.read_text())
    assert name_of(path) in commands


@pytest.mark.parametrize("path", PARTS_OF_RECIPES, ids=name_of)
def test_a_part_is_extended_and_says_what_it_is(path: Path) -> None:
    used = [recipe for recipe in RECIPES if path in loaded(recipe).bases]
    assert used
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("dataset", all_facts())
def test_each_dataset_has_the_paper_s_method_and_its_baselines(dataset: str) -> None:
    facts = all_facts()[dataset]
    latteclip, flyp, reclip, zero_shot = (
        loaded(FOLDER / folder / f"{dataset}.yaml")
        for folder in (".", "flyp", "reclip", "zero-shot")
    )
    for method, recipe in {
        "latteclip": latteclip,
        "flyp": flyp,
        "reclip": reclip,
        "zero-shot": zero_shot,
    }.items():
        assert recipe.name == f"{method}-{dataset}"
        assert recipe.dataset.spec.name == dataset
        assert recipe.backbone.options.pretrained == "laion2b_s34b_b79k"
    _, image, group = (choice.options for choice in latteclip.descriptions)
    assert image.model_dump()["prompt"] == facts.image_prompt
    assert group.model_dump()["prompt"] == facts.group_prompt
    assert group.model_dump()["size"] == 4
    assert (latteclip.train, latteclip.augmentation) == (flyp.train, flyp.augmentation)
    assert (latteclip.train.batch_size, latteclip.train.max_steps) == (512, 2000)
    rate = 1e-6 if dataset in ("food101", "sun397") else 1e-7
    assert latteclip.train.optimizer.learning_rate == rate
    assert latteclip.resolved["learners"][0]["prototypes"]["momentum"] == 0.99
    assert latteclip.resolved["describers"][0]["resolution"] == "thumbnail"
    assert reclip.train.max_epochs == min(100, (facts.train + facts.val) // 5000 + 2)
    assert zero_shot.train.max_steps == 0


def components(recipe: Recipe) -> list[ChosenComponent]:
    learners = [
        component for learner in recipe.learners for component in (learner.prototypes, learner.loss)
    ]
    single = (recipe.dataset, recipe.guard, *recipe.describers, *learners)
    return [
        component
        for component in (*single, *recipe.descriptions, *recipe.labels, *recipe.reporters)
        if component
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


def yaml_blocks(page: str) -> list[str]:
    text = (FOLDER.parent / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def test_recipe_with_describers_in_the_documentation_is_valid(tmp_path: Path) -> None:
    (written,) = yaml_blocks("quickstart.md")
    (part,) = [block for block in yaml_blocks("recipes.md") if block.startswith("describers:")]
    path = tmp_path / "birds.yaml"
    control = textwrap.indent(part, "    ")
    path.write_text(f"{written}controls:\n  with-other-keys:\n{control}")
    assert load_recipe(path, load_registry()).controls


def test_recipe_that_extends_in_the_documentation_is_valid(tmp_path: Path) -> None:
    (example,) = [block for block in yaml_blocks("recipes.md") if block.startswith("# my.yaml")]
    path = tmp_path / "my.yaml"
    path.write_text(example)
    recipe = load_recipe(path, load_registry())
    assert recipe.name == "my"
    assert recipe.resolved["learners"][0]["prototypes"]["momentum"] == 0.99
    assert recipe.resolved["descriptions"][2]["size"] == 8
