"""A recipe as a tree of nodes: each node is a value with the file and line where it is written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
KeyPath: TypeAlias = tuple[str | int, ...]

OVERRIDE = "--set"
"""`Origin.source` of values that come from the command line."""
DEFAULT = "default"
"""`Origin.source` of default values."""


_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 400
"""Maximum length of a number in characters; Python refuses integers of thousands of digits."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of a value: a line of a file, the command line, or a default."""

    source: str
    """A file's path as the user gave it, `--set` or `default`."""
    line: int | None = None
    column: int = 0
    variables: tuple[str, ...] = ()

    @property
    def position(self) -> str:
        """The place of the value, for messages: `file:line`, or `--set`."""
        return self.source if self.line is None else f"{self.source}:{self.line}"

    def __str__(self) -> str:
        return " ".join([self.position, *(f"${{{name}}}" for name in self.variables)])


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a recipe, with the place where its key is written."""

    value: Scalar | dict[str, Node] | list[Node]
    origin: Origin
    broken: bool = False
    """True if a mistake in this value has been reported already."""
    written: str | None = None
    """The text before expansion, if one of its variables holds a secret."""
    filled: tuple[tuple[int, int], ...] = ()
    """Ranges (start, end) of characters of the text that come from environment variables."""
    spelling: str | None = None
    """The text of a number, boolean or null in the recipe, such as `007` for the number 7."""

    def child(self, key: str | int) -> Node | None:
        """Return the value at `key` of a mapping, or at index `key` of a list; None if absent."""
        if isinstance(self.value, dict) and isinstance(key, str):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]
        return None

    def items(self) -> Iterator[tuple[str | int, Node]]:
        """Yield (key, child) of a mapping, or (index, child) of a list; nothing for a scalar."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from enumerate(self.value)

    def plain(self) -> Any:
        """Return the value as plain Python data: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value

    def replaced(self, key: str | int, node: Node) -> Node:
        """Return a copy of this mapping or list in which the value at `key` is `node`."""
        if isinstance(self.value, list) and isinstance(key, int):
            return Node([*self.value[:key], node, *self.value[key + 1 :]], self.origin)
        entries = self.value if isinstance(self.value, dict) else {}
        return Node({**entries, str(key): node}, self.origin)

    def without(self, keys: Container[str]) -> Node:
        """Return a copy of a mapping without `keys`; a list or scalar is returned unchanged."""
        if not isinstance(self.value, dict):
            return self
        entries = {key: node for key, node in self.value.items() if key not in keys}
        return Node(entries, self.origin)

    def mapped(self, change: Callable[[str | int, Node], Node]) -> Node:
        """Return a copy with each child replaced by `change(key, child)`; a scalar is unchanged."""
        if isinstance(self.value, dict):
            return Node({key: change(key, node) for key, node in self.value.items()}, self.origin)
        if isinstance(self.value, list):
            return Node([change(key, node) for key, node in enumerate(self.value)], self.origin)
        return self


def find(root: Node, path: KeyPath) -> Node | None:
    """Return the node at the key path `path` below `root`; None if there is none."""
    node: Node | None = root
    for key in path:
        node = node.child(key) if node else None
    return node


def holds_value(node: Node | None) -> bool:
    """Return True if `node` exists and its value is not null."""
    return node is not None and node.value is not None


def deepest(root: Node, path: KeyPath) -> Node:
    """Return the node at `path`; if it does not exist, its nearest existing ancestor."""
    child = root.child(path[0]) if path else None
    return root if child is None else deepest(child, path[1:])


def dotted(path: KeyPath) -> str:
    """Return the key path as text: `labels.0.use` for `("labels", 0, "use")`."""
    return ".".join(str(key) for key in path)


def leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the key path of every value below the root, mappings and lists included."""
    if path:
        yield path
    entries: Any = value.items() if isinstance(value, Mapping) else ()
    for key, below in enumerate(value) if isinstance(value, list) else entries:
        yield from leaves(below, (*path, key))


def resolve(text: str) -> Scalar:
    """Return the value of an unquoted scalar by the core schema of YAML 1.2.2 (section 10.3.2).

    Raises `ValueError` for infinity, NaN, and numbers that are too long or too large.
    """
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a number that a recipe can use")
    has_prefix = _PREFIXED.fullmatch(text)
    if not (has_prefix or _FLOAT.fullmatch(text)):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters is too long")
    if has_prefix:
        return int(text, 0)
    value = int(text) if _INTEGER.fullmatch(text) else float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text} is too large")
    return value
