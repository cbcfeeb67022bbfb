"""`latte check`: a recipe with every default, and where each value comes from; or its mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latte.cli.output import WIDTH, print_json
from latte.recipe.dump import Line, dump_yaml, yaml_lines
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.recipe.node import dotted
from latte.registry.registry import load_registry

_WIDEST = 44
"""Comments stand behind this column; longer lines have theirs further right, or above."""


def check(
    recipe: Annotated[Path, typer.Argument(help="The recipe's YAML file.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change a value; may be repeated."),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print YAML without comments, to be run again.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the recipe and the origins as JSON.")
    ] = False,
) -> None:
    """Check a recipe without loading a model, and show it complete with where values come from."""
    checked = load_recipe(recipe, load_registry(), set_ or ())
    if json:
        print_json({"recipe": checked.resolved, "origins": checked.origins})
    elif plain:
        typer.echo(dump_yaml(checked.resolved), nl=False)
    else:
        typer.echo(annotated(checked), nl=False)


def annotated(recipe: Recipe) -> str:
    """The resolved recipe as YAML, with the origin of each value as a comment behind it."""
    lines = [*yaml_lines(recipe.resolved)]
    column = min(_WIDEST, max(len(line.text) for line in lines))
    shown = [f"# {recipe.path} is valid. With every default, and where each value comes from:"]
    for line in lines:
        shown += _with_comment(line.text, _comment(recipe, line), column)
    return "".join(f"{line}\n" for line in shown)


def _comment(recipe: Recipe, line: Line) -> str:
    """Where the line's value comes from; the name of the recipe's own file goes without saying."""
    origin = recipe.origins.get(dotted(line.path), "") if line.holds_value else ""
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
