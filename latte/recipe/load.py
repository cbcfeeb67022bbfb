"""From a file to a valid recipe, or to all of its mistakes at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError
from latte.interfaces.errors import nearest
from latte.recipe.controls import controls_of, varied, with_written_names
from latte.recipe.describers import DESCRIBERS
from latte.recipe.extends import RecipeFiles
from latte.recipe.layout import CONTROLS, LEARNERS, spelled_out
from latte.recipe.mistakes import Mistakes
from latte.recipe.model import Recipe
from latte.recipe.node import Node
from latte.recipe.overrides import apply_overrides
from latte.recipe.reader import RecipeReader
from latte.recipe.requirements import with_defaults
from latte.recipe.resolve import origins, resolved_data, without_secret_values
from latte.recipe.shipped import SUFFIXES, shipped_names
from latte.registry.registry import Registry
from latte.registry.spec import NAME


def load_recipe(
    path: Path,
    registry: Registry,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Recipe:
    """The recipe in the file `path`, changed by `overrides` such as `train.max_steps=100`.

    `environment` is where `${VAR}` is looked up; default: the process's own. Raises `RecipeErrors`
    with every mistake, or `LatteError` where the file cannot be read or is not YAML.
    """
    variables = os.environ if environment is None else environment
    mistakes = Mistakes()
    files = RecipeFiles(registry, variables, mistakes)
    root = _read_tree(path, overrides, files, mistakes)
    recipe = _read_recipe(root, registry, mistakes, path)
    mistakes.raise_if_any()
    assert recipe is not None, "whatever is wrong with a recipe is reported"
    return replace(recipe, bases=tuple(files.bases))


def _read_tree(
    path: Path, overrides: Sequence[str], files: RecipeFiles, mistakes: Mistakes
) -> Node:
    _refuse_absent_file(path)
    root = apply_overrides(files.read(path), overrides, files.environment, mistakes)
    files.forget_replaced(root)
    return spelled_out(root)


def _read_recipe(
    written: Node, registry: Registry, mistakes: Mistakes, path: Path
) -> Recipe | None:
    controls = controls_of(written, mistakes)
    recipe = _read_variant(written, registry, mistakes, path)
    variants: dict[str, Recipe] = {}
    changes: dict[str, Any] = {}
    for name, control in controls.items():
        own = mistakes.within(CONTROLS, name)
        variant = _read_variant(varied(written, control, registry), registry, own, path)
        mistakes.adopt(own)
        changes[name] = without_secret_values(
            with_written_names(control, registry).plain(), control
        )
        if variant:
            variants[name] = variant
    if recipe is None or not controls:
        return recipe
    resolved = {**recipe.resolved, CONTROLS: changes}
    return replace(recipe, controls=variants, resolved=resolved, origins=origins(resolved, written))


def _read_variant(
    written: Node, registry: Registry, mistakes: Mistakes, path: Path
) -> Recipe | None:
    """One recipe without controls."""
    root = with_defaults(written)
    recipe = RecipeReader(root, registry, mistakes, path).read()
    if recipe is None:
        return None
    if not recipe.general.name:
        named = recipe.general.model_copy(update={NAME: _name_from(path)})
        recipe = replace(recipe, general=named)
    lists_learners = root.child(LEARNERS) is not None
    resolved = resolved_data(
        recipe,
        registry,
        lists_learners=lists_learners,
        lists_describers=root.child(DESCRIBERS) is not None,
    )
    resolved = without_secret_values(resolved, root)
    return replace(recipe, resolved=resolved, origins=origins(resolved, root))


def _name_from(path: Path) -> str:
    """The file's name, with `-` for what a run folder's name may not contain."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "recipe"


def _refuse_absent_file(path: Path) -> None:
    if path.exists():
        return
    if not path.parent.is_dir():
        raise LatteError(f"the folder {path.parent} does not exist", where=str(path))
    recipes = [file.name for file in path.parent.iterdir() if file.suffix in SUFFIXES]
    near = nearest(path.name, recipes)
    hint = f'Did you mean "{path.parent / near}"?' if near else _shipped_hint(path)
    raise LatteError("there is no such file", where=str(path), hint=hint)


def _shipped_hint(path: Path) -> str | None:
    near = nearest(path.with_suffix("").as_posix(), shipped_names())
    return f'Did you mean "{near}", which comes with latte?' if near else None
