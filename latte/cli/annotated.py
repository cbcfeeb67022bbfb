"""A recipe as YAML, complete, with where each value comes from behind it."""

from __future__ import annotations

from latte.cli.output import WIDTH
from latte.recipe.dump import Line, yaml_lines
from latte.recipe.model import Recipe
from latte.recipe.node import dotted
from latte.recipe.shipped import shown as shown_path

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
