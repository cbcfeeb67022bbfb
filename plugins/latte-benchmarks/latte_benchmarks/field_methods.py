"""Methods of `latte field`: a table of components and of what is known about each method."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from latte.api import LatteError, Progress, did_you_mean
from latte.api.runs import FrozenMethod, frozen_method, frozen_method_of

ZERO_SHOT = "zero-shot"
_TABLE = Path(__file__).parent / "field_methods.toml"


class About(BaseModel):
    """An entry of the table of methods."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    labelers: Mapping[str, Mapping[str, Any]] = {}
    prototypes: str = "from-labeler"
    prototype_options: Mapping[str, Any] = {}
    guard: str | None = None
    answers: bool = False
    """True if the method uses the classes that a person gave to images."""
    sees: str
    constants: str
    """Who chose the method's constants, and on which data."""
    published: float | None = None
    published_on: str = ""


@dataclass(frozen=True)
class FieldMethod:
    """A method and its components; zero-shot CLIP has none."""

    about: About
    components: FrozenMethod | None


def all_methods() -> list[About]:
    """Return the methods of the table."""
    entries = tomllib.loads(_TABLE.read_text(encoding="utf-8"))["method"]
    return [About.model_validate(entry) for entry in entries]


def chosen_methods(
    names: Sequence[str], recipes: Sequence[str], progress: Progress
) -> list[FieldMethod]:
    """Return zero-shot CLIP, the methods called `names` (all, if empty), and those of recipes.

    A recipe is given as NAME=FILE. A method of the table whose package is not installed is left out
    and reported. Raises `LatteError` for an unknown name or an unusable recipe.
    """
    table = {about.name: about for about in all_methods()}
    for name in names:
        if name not in table:
            hint = f"{did_you_mean(name, [*table])} All: {', '.join(table)}".strip()
            raise LatteError(f'there is no method "{name}"', where="--methods", hint=hint)
    methods = [FieldMethod(table[ZERO_SHOT], None)]
    for about in table.values():
        if about.name == ZERO_SHOT or (names and about.name not in names):
            continue
        try:
            components = frozen_method(
                about.labelers, about.prototypes, about.guard, **about.prototype_options
            )
            methods.append(FieldMethod(about, components))
        except LatteError as error:
            progress.say(f"{about.title} is left out: {error.what}")
    return [*methods, *(_of_recipe(text, table) for text in recipes)]


def _of_recipe(text: str, table: Mapping[str, About]) -> FieldMethod:
    name, equals, path = text.partition("=")
    if not (name and equals and path) or name in table:
        raise LatteError(
            f'"{text}" is not NAME=RECIPE with a new name',
            where="--recipe",
            hint="as in mine=a.yaml",
        )
    about = About(name=name, title=name, answers=True, sees=f"see {path}", constants=f"see {path}")
    return FieldMethod(about, frozen_method_of(Path(path)))
