"""Secret variables: stored recipes contain their names, never their values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.recipe.dump import dump_yaml
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import load_registry
from latte.run.identity import run_hash

SECRET = "hunter2-hunter2"
RECIPE = """\
dataset: {use: folder, root: "${HF_TOKEN}/${HERE}", classes: [a, b, "$${HF_TOKEN}"]}
backbone: {model: ViT-B-32, pretrained: "${ADDRESS:-none}"}
train: {max_steps: 0}
controls:
  other: {descriptions: [{use: class, template: "{class} ${HF_TOKEN}"}]}
"""
ENVIRONMENT = {"HF_TOKEN": SECRET, "HERE": "here", "ADDRESS": f"https://me:{SECRET}@x.org/w"}


def load(path: Path, environment: dict[str, str] | None = None, *changes: str) -> Recipe:
    return load_recipe(path, load_registry(), changes, environment or ENVIRONMENT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_components_receive_values_of_secret_variables(path: Path) -> None:
    recipe = load(path)
    root = recipe.dataset.options.root  # type: ignore[attr-defined]
    assert root == str(Path(SECRET, "here").absolute())
    assert recipe.backbone.options.pretrained == ENVIRONMENT["ADDRESS"]


def test_the_resolved_recipe_names_secret_variables_only(path: Path) -> None:
    recipe = load(path)
    stored = dump_yaml(recipe.resolved)
    assert SECRET not in stored + json.dumps([recipe.resolved, dict(recipe.origins)])
    assert recipe.resolved["dataset"]["root"] == "${HF_TOKEN}/${HERE}"
    assert recipe.resolved["backbone"]["pretrained"] == "${ADDRESS:-none}"
    assert recipe.resolved["dataset"]["classes"][2] == "${HF_TOKEN}"
    assert "- {use: class" not in stored
    assert '"{class} ${HF_TOKEN}"' in stored


def test_the_resolved_recipe_with_secrets_loads_as_the_same(path: Path) -> None:
    recipe = load(path)
    path.write_text(dump_yaml(recipe.resolved))
    reloaded = load(path)
    assert reloaded.resolved == recipe.resolved
    assert reloaded.dataset.options == recipe.dataset.options
    assert reloaded.backbone == recipe.backbone
    assert run_hash(reloaded, None) == run_hash(recipe, None)


def test_another_secret_gives_the_same_run_hash(path: Path) -> None:
    changed = load(path, {**ENVIRONMENT, "HF_TOKEN": "another-secret"})
    assert run_hash(changed, None) == run_hash(load(path), None)


def test_other_variables_are_stored_expanded(path: Path) -> None:
    path.write_text(RECIPE.replace("${HF_TOKEN}/", ""))
    assert load(path).resolved["dataset"]["root"] == str(Path("here").absolute())


def test_set_keeps_secret_variables_unexpanded(path: Path) -> None:
    recipe = load(path, None, "dataset.template='{class} of ${HF_TOKEN}'")
    assert SECRET not in json.dumps(recipe.resolved)


def test_a_secret_that_is_not_set_is_named(path: Path) -> None:
    with pytest.raises(LatteError, match="HF_TOKEN is not set"):
        load(path, {"HERE": "x"})


def test_error_messages_do_not_contain_secrets(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    path.write_text(RECIPE + 'seed: "${HF_TOKEN}"\nguard: "${HF_TOKEN}"\n')
    assert run_command_line(["check", str(path)]) == 2
    reported = "".join(capsys.readouterr())
    assert 'expected a whole number, got the text "${HF_TOKEN}"' in reported
    assert SECRET not in reported


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (
            "describer: phrases\ndescriptions: [{use: image, prompt: 'by ${HERE}'}]",
            "descriptions.image.prompt",
        ),
        (
            "describer: phrases\ndescriptions: [{use: group, prompt: [x, '${NO:-y}']}]",
            "descriptions.group.prompt",
        ),
        (
            "describer: {use: openai, system_prompt: '${HF_TOKEN}'}\ndescriptions: [image]",
            "describer.system_prompt",
        ),
    ],
)
def test_variable_in_a_prompt_is_refused(tmp_path: Path, section: str, key: str) -> None:
    path = tmp_path / "recipe.yaml"
    start = "dataset: {use: folder, root: x, classes: [a]}\nbackbone: {model: plugin:tiny}\n"
    path.write_text(f"{start}train: {{max_steps: 0}}\n{section}\n")
    with pytest.raises(LatteError, match="a prompt cannot contain the variable") as caught:
        load(path)
    assert key in str(caught.value)


def test_random_value_of_a_variable_does_not_enter_the_run_hash(path: Path) -> None:
    first, second = (
        load(path, {**ENVIRONMENT, "HERE": value})
        for value in ("a8Fk2LqP0zXw7Rt5YbNc", "b9Gl3MrQ1aYx8Su6ZcOd")
    )
    assert "a8Fk2LqP0zXw7Rt5YbNc" not in json.dumps(first.resolved)
    assert run_hash(first, None) == run_hash(second, None)
