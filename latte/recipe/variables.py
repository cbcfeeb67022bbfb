"""Expand environment variables in texts of a recipe, and make paths from variables absolute."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from latte.interfaces import IsPath, LatteError
from latte.interfaces.settings import BRING_WEIGHTS
from latte.io.variables import expand_variables
from latte.recipe.errors import Check
from latte.recipe.fields import KeyPath, has, types_at, value_at, with_value
from latte.recipe.model import BACKBONE, component_above
from latte.recipe.places import Document, Place
from latte.registry.registry import Registry


class Written(str):
    """Text in which variables such as `${NAME}` are not expanded, because they hold a secret."""

    __slots__ = ()


class AsWritten(dict[str, str]):
    """Environment in which every variable NAME has the value `${NAME}`, so nothing is expanded."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return the reference `${name}` itself in place of a value."""
        return f"${{{name}}}"


def expand(text: str, environment: Mapping[str, str], place: Place) -> tuple[str, Place]:
    """Return `text` with the values of its environment variables, and its place with their names.

    Raises `LatteError` as `expand_variables` does.
    """
    expanded = expand_variables(text, environment)
    place = replace(
        place,
        variables=expanded.variables,
        filled=expanded.filled,
        is_secret=expanded.is_secret,
    )
    return expanded.text, place


def refuse_in_prompts(check: Check) -> None:
    """Report variables in prompts: prompts are exported, and a variable may hold a secret."""
    for path, place in check.document.places.items():
        if not (place.variables and has(check.document.data, path)):
            continue
        head, component = component_above(path) or (path, None)
        option = str(path[len(head)]) if len(path) > len(head) else ""
        if component and component.kind in ("describer", "description") and "prompt" in option:
            for name in place.variables:
                what = f"a prompt cannot contain the variable {name}"
                reason = "prompts are stored and exported with the texts"
                check.add(path, f"{what}: {reason}", "Write the text itself.")


def without_default_tag(document: Document) -> Document:
    """Drop `pretrained` if it is only a default and the model brings its own weights.

    In `pretrained: ${NAME:-TAG}`, `TAG` is a default for open_clip's models. A tag that the user
    set is kept, and an error reports it later.
    """
    tag = document.places.get((BACKBONE, "pretrained"))
    model = value_at(document.data, (BACKBONE, "model"))
    if not (tag and tag.variables and not tag.filled and str(model).startswith(BRING_WEIGHTS)):
        return document
    backbone = {key: value for key, value in document.data[BACKBONE].items() if key != "pretrained"}
    return document.changed({**document.data, BACKBONE: backbone}, {})


def with_shell_paths(document: Document, registry: Registry) -> Any:
    """Return the data of a recipe in which paths from environment variables are absolute.

    A path that begins with a variable's value, such as `${NAME}/photos`, is relative to the working
    directory. `photos/${NAME}` and the default in `${NAME:-default}` are relative to the recipe,
    and stay unchanged. An option is a path if its type is `Path`, or text marked with `IsPath`.
    """
    data = document.data
    filled = [path for path, place in document.places.items() if place.filled and has(data, path)]
    for head, component in dict.fromkeys(filter(None, map(component_above, filled))):
        value = value_at(data, head)
        with suppress(LatteError):
            _, options = component.found(value, registry)
            value = _with_absolute_paths(value, head, document.places, [options])
            data = with_value(data, head, value)
    return data


def _with_absolute_paths(
    value: Any, path: KeyPath, places: Mapping[KeyPath, Place], types: Sequence[Any]
) -> Any:
    """Return the value at `path`, which has one of the `types`, with absolute paths."""

    def below(key: str | int, inner: Any) -> Any:
        return _with_absolute_paths(inner, (*path, key), places, types_at(types, (key,)))

    if isinstance(value, list):
        return [below(index, item) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: below(key, inner) for key, inner in value.items()}
    place = places.get(path)
    return with_absolute_path(value, place.filled, types) if place and place.filled else value


def with_absolute_path(text: str, filled: Sequence[tuple[int, int]], types: Sequence[Any]) -> str:
    """Return `text` with an absolute path, if a type has a path that begins in a `filled` range."""
    for match in path_matches(text, types):
        if any(start <= match.start("path") < end for start, end in filled):
            absolute = _from_shell(match["path"])
            return text[: match.start("path")] + absolute + text[match.end("path") :]
    return text


def path_matches(text: str, types: Iterable[Any]) -> Iterator[re.Match[str]]:
    """Yield a match with the group `path` for each of the `types` by which `text` has a path."""
    for type_or_mark in types_at(types, ()):
        marker = IsPath() if type_or_mark is Path else type_or_mark
        if isinstance(marker, IsPath) and (match := re.fullmatch(marker.pattern, text, re.DOTALL)):
            yield match


def _from_shell(text: str) -> str:
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError:  # `~name` of an unknown user
        path = Path(text).absolute()
    tidy = Path(os.path.normpath(path))
    try:
        return str(tidy if tidy.samefile(path) else path)  # `..` after a link can be elsewhere
    except (OSError, ValueError):
        return str(path)
