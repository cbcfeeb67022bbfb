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
from latte.io.variables import expand_variables
from latte.recipe.fields import types_at
from latte.recipe.model import component_above
from latte.recipe.places import Document, KeyPath, Place, has, value_at, with_value
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


def with_shell_paths(document: Document, registry: Registry) -> Any:
    """Return the data of a recipe in which paths from environment variables are absolute.

    A path that begins with a variable's value, such as `${NAME}/photos`, is relative to the working
    directory. `photos/${NAME}` and the default in `${NAME:-default}` are relative to the recipe,
    and stay unchanged. An option is a path if its type is `Path`, or text marked with `IsPath`.
    """
    data = document.data
    for path, place in document.places.items():
        if place.filled and has(data, path):
            types = _option_types(data, path, registry)
            text = with_absolute_path(value_at(data, path), place.filled, types)
            data = with_value(data, path, text)
    return data


def _option_types(data: Any, path: KeyPath, registry: Registry) -> list[Any]:
    """Return the types of the component's option at `path`; none if the component is unknown."""
    head, component = component_above(path) or ((), None)
    with suppress(LatteError):
        if component:
            _, options = component.found(value_at(data, head), registry)
            return types_at([options], path[len(head) :])
    return []


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
