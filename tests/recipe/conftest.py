from pathlib import Path

import pytest

from latte.interfaces import RecipeErrors
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from tests.helpers.recipes import Complaints, Load, builtin_plugin
from tests.helpers.third_party import LATTE_SCENES


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Return a registry of latte and a plugin, with one component name in both."""
    return Registry([builtin_plugin(), LATTE_SCENES])


@pytest.fixture
def load(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a recipe's text as the file `r.yaml`, with overrides and environment variables."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, *overrides: str, **environment: str) -> Recipe:
        path = Path("r.yaml")
        path.write_text(text, encoding="utf-8")
        return load_recipe(path, registry, overrides, environment)

    return load


@pytest.fixture
def complaints(load: Load) -> Complaints:
    """Return all messages about a recipe's text, with hints on separate lines."""

    def complaints(text: str, *overrides: str, **environment: str) -> list[str]:
        with pytest.raises(RecipeErrors) as caught:
            load(text, *overrides, **environment)
        return [str(error) for error in caught.value.errors]

    return complaints
