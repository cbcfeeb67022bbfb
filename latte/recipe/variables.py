"""Expand environment variables in strings, and make paths that come from variables absolute.

A recipe writes `${VAR}`, `${VAR:-default}`, and `$${` for a literal `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from latte.interfaces import IsPath, LatteError
from latte.io.redaction import is_secret
from latte.recipe.node import Node

_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}"
    r"|(?P<malformed>\$\{[^}]*\}?)"
)


@dataclass(frozen=True, slots=True)
class Expansion:
    """A string after expansion, and the variables in it."""

    text: str
    variables: tuple[str, ...]
    is_secret: bool = False
    """True if a variable may hold a secret, which must not be stored."""
    filled: tuple[tuple[int, int], ...] = ()
    """Parts of `text` that come from the environment, not from defaults: (start, end) indices."""


class Written(str):
    """Text whose variables stay unexpanded, because they hold a secret."""

    __slots__ = ()


class AsWritten(dict[str, str]):
    """Environment that leaves every `${NAME}` unexpanded."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return `${NAME}`."""
        return f"${{{name}}}"


def expand(text: str, environment: Mapping[str, str]) -> Expansion:
    """Expand `text` once; values of variables are not expanded again.

    As in a shell, the default after `:-` also replaces an empty variable. Raises `LatteError` for
    an unset variable without a default, and for a malformed reference.
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
    return Expansion(expanded + text[end:], tuple(dict.fromkeys(names)), secret, tuple(filled))


def escape(text: str) -> str:
    """Return the string that expands to `text`."""
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


def with_shell_paths(node: Node, model: type[BaseModel]) -> Node:
    """Return the options in `node`, with paths that come from the environment made absolute.

    Such a path is relative to the working directory, not to the recipe. An option is a path if
    `model` declares it as `Path`, or as text marked with `IsPath`. A path comes from the
    environment if its first character does; `photos/${NAME}`, or a default in `${NAME:-default}`,
    does not.
    """
    return _resolved(node, [model])


def _resolved(node: Node, annotations: Sequence[Any]) -> Node:
    """Return `node` with absolute paths; the type of `node` is one of `annotations`."""
    if isinstance(node.value, str):
        return _absolute(node, _markers(annotations)) if node.filled else node
    if isinstance(node.value, dict):
        for key, below in node.value.items():
            node = node.replaced(key, _resolved(below, [*_values(annotations, key)]))
    elif isinstance(node.value, list):
        items = [argument for one in _origins(annotations, (list, tuple)) for argument in one]
        for index, below in enumerate(node.value):
            node = node.replaced(index, _resolved(below, items))
    return node


def _absolute(node: Node, markers: Sequence[IsPath]) -> Node:
    text = str(node.value)
    for marker in markers:
        found = re.fullmatch(marker.pattern, text, re.DOTALL)
        if found and any(start <= found.start("path") < end for start, end in node.filled):
            whole = _from_shell(found["path"])
            value = text[: found.start("path")] + whole + text[found.end("path") :]
            return Node(value, node.origin, node.broken, node.written)
    return node


def _from_shell(text: str) -> str:
    """Return an absolute path: the same for `photos`, `./photos/` and `$PWD/photos`."""
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError:  # `~name` of an unknown user
        path = Path(text).absolute()
    tidy = Path(os.path.normpath(path))
    try:
        return str(tidy if tidy.samefile(path) else path)  # `..` after a link can be elsewhere
    except (OSError, ValueError):
        return str(path)


def _values(annotations: Sequence[Any], key: str) -> Iterator[Any]:
    """Yield the types of the value at `key`, for each model or mapping in `annotations`."""
    for one in _members(annotations):
        if isinstance(one, type) and issubclass(one, BaseModel) and key in one.model_fields:
            field = one.model_fields[key]
            yield field.annotation
            yield from field.metadata
    for arguments in _origins(annotations, (dict, Mapping)):
        yield from arguments[1:]


def _markers(annotations: Sequence[Any]) -> list[IsPath]:
    members = [*_members(annotations)]
    marked = [one for one in members if isinstance(one, IsPath)]
    return [*marked, IsPath()] if any(one is Path for one in members) else marked


def _origins(annotations: Sequence[Any], kinds: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield the type arguments of each generic type in `annotations` that is one of `kinds`."""
    for one in _members(annotations):
        origin = get_origin(one)
        if isinstance(origin, type) and issubclass(origin, kinds):
            yield get_args(one)


def _members(annotations: Sequence[Any]) -> Iterator[Any]:
    """Yield each type in `annotations` and its markers, with unions and `Annotated` unpacked."""
    for one in annotations:
        if get_origin(one) in (Annotated, Union, UnionType):
            yield from _members(get_args(one))
        else:
            yield one
