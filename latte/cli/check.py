"""A recipe as YAML, complete, with where each value comes from behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.output import WIDTH, echo
from latte.cli.shared import RecipeArgument, SetOption
from latte.interfaces import LatteError
from latte.recipe.dump import Line, yaml_lines
from latte.recipe.model import Recipe
from latte.recipe.node import dotted
from latte.recipe.shipped import shown as shown_path

if TYPE_CHECKING:
    from latte.recipe.model import Recipe
    from latte.registry.registry import Registry

_WIDEST = 44
"""Comments stand behind this column; longer lines have theirs further right, or above."""


def annotated(recipe: Recipe) -> str:
    """The resolved recipe as YAML, with the origin of each value as a comment behind it."""
    lines = [*yaml_lines(recipe.resolved)]
    column = min(_WIDEST, max(len(line.text) for line in lines))
    shown = [f"# {recipe.path} is valid. With every default, and where each value comes from:"]
    shown += [f"# It extends {shown_path(base)}." for base in recipe.bases]
    for line in lines:
        shown += _with_comment(line.text, _comment(recipe, line), column)
    return "".join(f"{line}\n" for line in shown)


def _comment(recipe: Recipe, line: Line) -> str:
    """Where the line's value comes from, without the name of the recipe's own file."""
    origin = recipe.origins.get(dotted(line.path), "") if line.holds_value else ""
    for base in recipe.bases:
        origin = origin.replace(f"{base}:", f"{shown_path(base)}:", 1)
    return f"# {origin.replace(f'{recipe.path}:', 'line ', 1)}" if origin else ""


def _with_comment(text: str, comment: str, column: int) -> list[str]:
    """The comment behind the line, or above it where it would not fit."""
    if not comment:
        return [text]
    beside = f"{text:<{column}}  {comment}"
    if len(beside) <= WIDTH:
        return [beside]
    indent = len(text) - len(text.lstrip())
    return [" " * indent + comment, text]


# `latte check`: a recipe with every default, and where each value comes from; or its mistakes.


def check(
    recipe: RecipeArgument,
    set_: SetOption = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print YAML without comments, to be run again.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the recipe and the origins as JSON.")
    ] = False,
) -> None:
    """Check a recipe without loading a model, and show it complete with where values come from.

    Warns where its images are here and too few for its class names.
    """
    from latte.cli.output import print_json
    from latte.recipe.dump import dump_yaml
    from latte.recipe.load import load_recipe
    from latte.registry.registry import load_registry

    registry = load_registry()
    checked = load_recipe(recipe, registry, set_ or ())
    if json:
        print_json({"recipe": checked.resolved, "origins": checked.origins})
    elif plain:
        echo(dump_yaml(checked.resolved), nl=False)
    else:
        echo(annotated(checked), nl=False)
    _warn_of_few(checked, registry)


def _warn_of_few(recipe: Recipe, registry: Registry) -> None:
    """Say so where images are too few for the class names, if latte itself can list them.

    A plugin's dataset may have to load much for it. One that is not here is no mistake of a recipe.
    """
    from latte.data.enough import warn_of_few
    from latte.registry.plugin import BUILTIN_DISTRIBUTION
    from latte.run.workspace import unloaded_dataset

    if recipe.dataset.distribution != BUILTIN_DISTRIBUTION:
        return
    try:
        dataset = unloaded_dataset(recipe, registry)
        found = warn_of_few(len(dataset.training_images()), len(dataset.class_names))
    except LatteError:
        return
    if found:
        echo(f"warning: {found}", err=True)
