"""Read untrusted YAML and JSON files as plain data, and find published tables by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.recipe.mistakes import Mistakes
from latte.recipe.node import Node, Origin
from latte.recipe.shipped import DATA, recipe_folder
from latte.recipe.tree import TreeBuilder
from latte.recipe.yaml import compose, read_text


def find_file(path: Path) -> Path:
    """Return `path` if it is a file, else the shipped file of that name with published numbers.

    Raises `LatteError` with the most similar name if there is neither.
    """
    if path.is_file():
        return path
    folder = recipe_folder()
    shipped = {one.stem: one for one in (folder / DATA).glob("*.yaml")} if folder else {}
    name = path.name.removesuffix(".yaml") if path.parent == Path() else ""
    if name not in shipped:
        hint = f"{did_you_mean(path.name, shipped)} Tables of latte: {', '.join(sorted(shipped))}."
        raise LatteError("there is no such file", where=str(path), hint=hint.strip())
    return shipped[name]


def read_nodes(path: Path, environment: Mapping[str, str] = MappingProxyType({})) -> Node:
    """Read a YAML file as a recipe is read; each node has its line. Raises `LatteError`.

    `environment` holds the values of `${VAR}`.
    """
    document = compose(read_text(path), str(path))
    if document is None:
        return Node({}, Origin(str(path), 1))
    mistakes = Mistakes()
    root = TreeBuilder(str(path), environment, mistakes).build(document)
    mistakes.raise_if_any()
    return root


def read_json(path: Path) -> Any:
    """Read a JSON file as plain data. Raises `LatteError` if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LatteError(f"cannot be read ({error})", where=str(path)) from error


def flattened(value: Any, path: str = "") -> dict[str, Any]:
    """Flatten `{"a": {"b": 1}}` to `{"a.b": 1}`; a list without mappings stays one value."""
    if isinstance(value, Mapping) and value:
        inner = [(str(key), child) for key, child in value.items()]
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        inner = [(str(index), child) for index, child in enumerate(value)]
    else:
        return {path: value}
    found: dict[str, Any] = {}
    for key, child in inner:
        found |= flattened(child, f"{path}.{key}" if path else key)
    return found
