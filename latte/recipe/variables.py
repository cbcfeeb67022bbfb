"""Expand environment variables in texts of a recipe, and make paths from variables absolute.

A recipe writes `${VAR}`, `${VAR:-default}`, and `$${` for a literal `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from latte.interfaces import IsPath, LatteError
from latte.io.redaction import is_secret
from latte.recipe.node import Node, Origin

_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}"
    r"|(?P<malformed>\$\{[^}]*\}?)"
)


class Written(str):
    """Text in which variables such as `${NAME}` are not expanded, because they hold a secret."""

    __slots__ = ()


class AsWritten(dict[str, str]):
    """Environment in which every variable NAME has the value `${NAME}`, so nothing is expanded."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return the reference `${name}` itself in place of a value."""
        return f"${{{name}}}"


def expand(text: str, environment: Mapping[str, str], origin: Origin) -> Node:
    """Return a node with `text`, in which environment variables are replaced by their values.

    A `${` inside a value is not expanded. As in a shell, the default after `:-` also replaces an
    empty variable. Raises `LatteError` for an unset variable without a default.
    """
    names: list[str] = []
    filled: list[tuple[int, int]] = []
    expanded, secret, end = "", False, 0
    for match in _REFERENCE.finditer(text):
        expanded += text[end : match.start()]
        end = match.end()
        if match["escaped"]:
            expanded += "${"
            continue
        if match["malformed"]:
            raise LatteError(
                f'"{match[0]}" is not a variable',
                hint="Write ${NAME} or ${NAME:-default}, without nesting; $${ is a literal ${.",
            )
        names.append(match["name"])
        value = _look_up(match["name"], match["default"], environment)
        secret = secret or is_secret(match["name"], value)
        if environment.get(match["name"]):
            filled.append((len(expanded), len(expanded) + len(value)))
        expanded += value
    place = replace(origin, variables=tuple(dict.fromkeys(names)))
    written = text if secret else None
    return Node(expanded + text[end:], place, written=written, filled=tuple(filled))


def escape(text: str) -> str:
    """Return `text` with each `${` escaped, so that `expand` returns `text` itself."""
    return text.replace("${", "$${")


def _look_up(name: str, default: str | None, environment: Mapping[str, str]) -> str:
    value = environment.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise LatteError(
            f"the environment variable {name} is not set",
            hint=f"Set it (export {name}=...), or write ${{{name}:-default}} here.",
        )
    return value


def with_shell_paths(node: Node, *types: Any) -> Node:
    """Return a copy of `node` in which paths from environment variables are absolute.

    A path that begins with a variable's value, such as `${NAME}/photos`, is relative to the working
    directory. `photos/${NAME}` and the default in `${NAME:-default}` are relative to the recipe,
    and stay unchanged. `types` are the types that the value may have. A value is a path if its type
    is `Path`, or text marked with `IsPath`.
    """
    if isinstance(node.value, list):
        items = _arguments(types, (list, tuple))
        return node.mapped(lambda _, below: with_shell_paths(below, *items))
    if isinstance(node.value, dict):
        return node.mapped(lambda key, below: with_shell_paths(below, *_values(types, str(key))))
    return _absolute(node, types) if node.filled else node


def _absolute(node: Node, types: Sequence[Any]) -> Node:
    text = str(node.value)
    for found in path_matches(text, types):
        if any(start <= found.start("path") < end for start, end in node.filled):
            whole = _from_shell(found["path"])
            value = text[: found.start("path")] + whole + text[found.end("path") :]
            return Node(value, node.origin, node.broken, node.written)
    return node


def path_matches(text: str, types: Sequence[Any]) -> Iterator[re.Match[str]]:
    """Yield a match with the group `path` for each of the `types` by which `text` has a path."""
    for one in _members(types):
        marker = IsPath() if one is Path else one
        if isinstance(marker, IsPath) and (found := re.fullmatch(marker.pattern, text, re.DOTALL)):
            yield found


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


def _values(types: Sequence[Any], key: str) -> Iterator[Any]:
    """Yield the possible types of the value at `key` in a mapping of one of the `types`."""
    for one in _members(types):
        if isinstance(one, type) and issubclass(one, BaseModel) and key in one.model_fields:
            field = one.model_fields[key]
            yield field.annotation
            yield from field.metadata
    yield from _arguments(types, (Mapping,))


def _arguments(types: Sequence[Any], kinds: tuple[Any, ...]) -> list[Any]:
    """Return the type arguments of `types`, such as `int` for `list[int]`.

    Only types whose origin is one of the `kinds` are considered.
    """
    return [
        argument
        for one in _members(types)
        if isinstance(origin := get_origin(one), type) and issubclass(origin, kinds)
        for argument in get_args(one)
    ]


def _members(types: Sequence[Any]) -> Iterator[Any]:
    """Yield the types; split a union into its members, and `Annotated` into type and metadata."""
    for one in types:
        if get_origin(one) in (Annotated, Union, UnionType):
            yield from _members(get_args(one))
        else:
            yield one
