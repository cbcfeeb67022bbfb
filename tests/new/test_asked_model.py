"""`--ask-model` names a model on a server, which a proposed recipe asks about images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from latte.interfaces import LatteError
from latte.new.asked_model import AskedModel, asked_model
from latte.new.choices import choose
from latte.new.images import Findings, look_at
from latte.new.models import Machine
from latte.new.writing import recipe_text
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry, load_registry
from tests.helpers.recipes import builtin_plugin

pytestmark = pytest.mark.thorough

MACHINE = Machine("cpu", "2 CPU cores, no GPU", 8.0)
URL = "https://example.org/v1"
ASKED = AskedModel("chooser: ${x}", URL, 40)


@pytest.fixture
def images(colour_images: Callable[..., Path]) -> Path:
    return colour_images(per_class=20)


def recipe_of(findings: Findings, folder: Path) -> Recipe:
    registry = load_registry()
    choices = choose(findings, MACHINE, registry, "auto", "plugin:tiny", asked=ASKED)
    assert choices.reasons[0].startswith("method: choices; chooser: ${x} gets at most 40 images")
    file = folder / "new.yaml"
    file.write_text(recipe_text(findings, choices, file))
    return load_recipe(file, registry)


def test_recipe_asks_the_model_within_the_budget(images: Path, tmp_path: Path) -> None:
    recipe = recipe_of(look_at(images, None, None), tmp_path)
    assert recipe.questioned is not None
    options = recipe.questioned.options.model_dump()
    assert (options["model"], options["base_url"]) == (ASKED.name, URL)
    assert recipe.budget == ASKED.questions
    assert [labeler.label for labeler in recipe.labels] == ["choices"]
    assert recipe.guard is None
    assert not recipe.controls
    packages = {requirement.partition(">")[0] for requirement in recipe.requires}
    assert packages == {"latte-openai", "latte-questions"}


def test_labelled_images_measure_what_the_answers_bring(
    images: Path, colour_images: Callable[..., Path], tmp_path: Path
) -> None:
    labelled = colour_images(per_class=2, folder="labelled")
    recipe = recipe_of(look_at(images, None, labelled), tmp_path)
    assert recipe.controls["no-questions"].questioned is None


def test_another_method_is_refused(images: Path) -> None:
    findings = look_at(images, None, None)
    with pytest.raises(LatteError, match="the method zero-shot asks no model"):
        choose(findings, MACHINE, load_registry(), "zero-shot", "plugin:tiny", asked=ASKED)


@pytest.mark.parametrize(
    ("arguments", "where", "what"),
    [
        ((None, URL, None), "--ask-url", "is used with --ask-model only"),
        ((None, None, 60), "--questions", "is used with --ask-model only"),
        (("chooser", None, None), "--ask-model", "needs --ask-url"),
        (("chooser", "example.org", None), "--ask-url", "must be an address such as"),
        (("chooser", URL, 29), "--questions", "29 questions cannot show whether a model is right"),
        (("chooser", "http://[", None), "--ask-url", "must be an address such as"),
        (("chooser", "https://a:secret@b.org/v1", None), "--ask-url", "user name or password"),
    ],
)
def test_incomplete_and_wrong_arguments_are_refused(
    arguments: tuple[str | None, str | None, int | None], where: str, what: str
) -> None:
    with pytest.raises(LatteError, match=what) as caught:
        asked_model(*arguments, load_registry())
    assert caught.value.where == where
    assert "secret" not in str(caught.value)


def test_absent_packages_are_named_with_the_line_that_installs_them() -> None:
    with pytest.raises(LatteError) as caught:
        asked_model("chooser", URL, None, Registry([builtin_plugin()]))
    assert caught.value.hint == "pip install latte-openai latte-questions"


def test_number_of_images_and_host_are_said() -> None:
    asked = asked_model("chooser", f" {URL} ", None, load_registry())
    assert asked is not None
    assert asked.sent == "at most 60 images, and the class names, to example.org"
    assert asked_model(None, None, None, load_registry()) is None
