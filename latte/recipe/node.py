"""A recipe as written: plain values that remember where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
KeyPath: TypeAlias = tuple[str | int, ...]

OVERRIDE = "--set"
"""The source of values that come from the command line."""
DEFAULT = "default"
"""The source of values that nobody wrote."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written."""

    source: str
    """A file's path as the user gave it, or `--set`."""
    line: int | None = None
    column: int = 0
    variables: tuple[str, ...] = ()
    """Environment variables that were expanded in it."""

    @property
    def position(self) -> str:
        """`file:line`, or `--set`."""
        return self.source if self.line is None else f"{self.source}:{self.line}"

    def __str__(self) -> str:
        return " ".join([self.position, *(f"${{{name}}}" for name in self.variables)])


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a recipe and where its key stands."""

    value: Scalar | dict[str, Node] | list[Node]
    origin: Origin
    broken: bool = False
    """A mistake in this very value has been reported already."""
    written: str | None = None
    """The text before its variables were expanded, where one of them holds a secret."""
    filled: tuple[tuple[int, int], ...] = ()
    """Where in a text stands what the environment holds, as (start, end)."""

    def child(self, key: str | int) -> Node | None:
        """The value below `key` (of a mapping) or at index `key` (of a list), if there is one."""
        if isinstance(self.value, dict) and isinstance(key, str):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]
        return None

    def items(self) -> Iterator[tuple[str | int, Node]]:
        """Keys or indices with what is below them; nothing for scalars."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from enumerate(self.value)

    def plain(self) -> Any:
        """The value as dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def replaced(self, key: str | int, node: Node | None) -> Node:
        """A copy in which `node` stands at `key`; None takes the key out of a mapping."""
        if isinstance(self.value, list) and isinstance(key, int) and node is not None:
            items = [*self.value]
            items[key] = node
            return Node(items, self.origin)
        entries = dict(self.value) if isinstance(self.value, dict) else {}
        if node is None:
            entries.pop(str(key), None)
        else:
            entries[str(key)] = node
        return Node(entries, self.origin)


def find(root: Node, path: KeyPath) -> Node | None:
    """The node at `path`, if it was written."""
    node: Node | None = root
    for key in path:
        node = node.child(key) if node else None
    return node


def deepest(root: Node, path: KeyPath) -> Node:
    """The last node on the way to `path` that was written: where to point when the rest is not."""
    node = root
    for key in path:
        child = node.child(key)
        if child is None:
            break
        node = child
    return node


def dotted(path: KeyPath) -> str:
    """`("labels", 0, "use")` -> `labels.0.use`."""
    return ".".join(str(key) for key in path)


def leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every path in plain data, except the root: scalars, and what holds them."""
    if path:
        yield path
    entries: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, Mapping):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, below in entries:
        yield from leaves(below, (*path, key))
