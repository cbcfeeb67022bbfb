"""Load a recipe file into a validated `Recipe`, or raise one error that lists all mistakes.

Each step is one file, which says what comes in and what goes out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from latte.recipe.errors import Mistakes
from latte.recipe.merge import merged
from latte.recipe.model import Recipe
from latte.recipe.read import read_layers
from latte.recipe.resolve import resolved
from latte.recipe.rules import check_rules
from latte.recipe.shipped import refuse_absent_file
from latte.recipe.spell import spelled_out
from latte.recipe.validate import validated
from latte.registry.registry import Registry


def load_recipe(
    path: Path,
    registry: Registry,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Recipe:
    """Load the recipe in the file `path`, changed by `overrides` such as `train.max_steps=100`.

    `environment` holds the values of `${VAR}`; default: the process's environment. Raises
    `RecipeErrors` with every mistake, or `LatteError` if the file cannot be read or is not YAML.
    Rules about several keys are checked if each value is valid.
    """
    refuse_absent_file(path)
    mistakes = Mistakes()
    variables = os.environ if environment is None else environment
    written = read_layers(path, overrides, variables, mistakes)
    layers = [spelled_out(layer, mistakes) for layer in written]
    documents = merged(layers, registry, mistakes)
    variants = validated(documents, registry, path, mistakes)
    check_rules(variants, documents, registry)
    return resolved(variants, documents, registry, path)
