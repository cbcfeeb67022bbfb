"""The section `backbone` of a recipe: short form, components of plugins, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.interfaces import Backbone, BackboneLoader, NoOptions, RecipeErrors
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.discovery import discover_plugins
from latte.registry.registry import Registry
from latte.registry.spec import ComponentSpec, Plugin
from latte.run.identity import run_hash

REST = "dataset: {use: folder, root: a, classes: [b, c]}\ntrain: {max_steps: 0}\n"
SHORT = "backbone: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}\n" + REST


class Own(BackboneLoader[NoOptions]):
    def load(self) -> Backbone:
        raise NotImplementedError

    @classmethod
    def load_saved(cls, folder: Path, device: str) -> Backbone:
        raise NotImplementedError


def registry() -> Registry:
    """Return the installed components and the backbone `own` of another package."""
    spec = ComponentSpec("backbone", "own", f"{__name__}:Own", "for tests")
    plugin = Plugin("latte_own", "latte-own", "1", status="ok", specs=(spec,))
    return Registry([*discover_plugins(), plugin])


def load(folder: Path, text: str, *overrides: str) -> Recipe:
    path = folder / "r.yaml"
    path.write_text(text)
    return load_recipe(path, registry(), overrides)


def test_short_form_and_named_open_clip_are_the_same_run(tmp_path: Path) -> None:
    short = load(tmp_path, SHORT)
    long = load(tmp_path, SHORT.replace("{model", "{use: open_clip, model"))
    assert short.backbone.spec.name == "open_clip"
    assert short.resolved["backbone"] == long.resolved["backbone"]
    assert {*short.resolved["backbone"]} == {"use", "model", "pretrained"}
    assert run_hash(short, None) == run_hash(long, None)


def test_a_backbone_of_a_plugin_is_named_in_the_resolved_recipe(tmp_path: Path) -> None:
    recipe = load(tmp_path, "backbone: own\n" + REST)
    assert recipe.resolved["backbone"] == {"use": "latte-own/own"}
    assert run_hash(recipe, None) != run_hash(load(tmp_path, SHORT), None)


def test_another_backbone_replaces_the_whole_section(tmp_path: Path) -> None:
    recipe = load(tmp_path, SHORT, "controls={b: {backbone: {use: own}}}")
    assert recipe.controls["b"].resolved["backbone"] == {"use": "latte-own/own"}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("ViT-B-32", 'no backbone named "ViT-B-32" is installed'),
        ("{use: open_clap, model: x}", 'Did you mean "open_clip"'),
        ("{use: own, model: x}", 'unknown key "model"'),
        ("{model: x, name: y}", 'unknown key "name"'),
        ("[x]", "expected the name of a component"),
    ],
)
def test_mistakes_are_reported_with_their_line(tmp_path: Path, written: str, message: str) -> None:
    with pytest.raises(RecipeErrors) as caught:
        load(tmp_path, f"backbone: {written}\n{REST}")
    text = str(caught.value)
    assert message in text
    assert "r.yaml:1 backbone" in text
