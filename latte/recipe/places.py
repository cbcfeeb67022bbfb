"""Plain data of a recipe with the place of each value, and what a key path means in them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from latte.registry.spec import NAME, USE

KeyPath: TypeAlias = tuple[str | int, ...]

OVERRIDE = "--set"
"""`Place.source` of values that come from the command line."""
DEFAULT = "default"
"""Origin of default values."""


LEARNERS = "learners"
DESCRIBERS = "describers"
ENCODERS = "encoders"
MAIN = "main"
"""Name of a learner without the key `name`."""
SHORT: dict[str, KeyPath] = {
    "describer": (DESCRIBERS, 0),
    "trainable": (LEARNERS, 0, "trainable"),
    "prototypes": (LEARNERS, 0, "prototypes"),
    "loss": (LEARNERS, 0, "loss"),
}
"""Short forms, for a single describer or learner, and the key paths for which they stand."""


@dataclass(frozen=True, slots=True)
class Place:
    """Place where a value is written: a line of a file, or the command line."""

    source: str
    """A file's path as the user gave it, or `--set`."""
    line: int | None = None
    column: int = 0
    text: str | None = None
    """The scalar as it is written, such as `007` for the number 7; None for other values."""
    variables: tuple[str, ...] = ()
    """Names of the environment variables in the text."""
    filled: tuple[tuple[int, int], ...] = ()
    """Ranges (start, end) of characters of the value that come from environment variables."""
    is_secret: bool = False
    """True if a variable of the text holds a secret."""
    is_broken: bool = False
    """True if a mistake in this value was reported while it was read."""
    is_short: bool = False
    """True for the item of a list that a recipe writes in the short form, as in `loss: NAME`."""

    @property
    def position(self) -> str:
        """The place for messages: `file:line`, or `--set`."""
        return self.source if self.line is None else f"{self.source}:{self.line}"

    def __str__(self) -> str:
        return " ".join([self.position, *(f"${{{name}}}" for name in self.variables)])


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data (dicts, lists and scalars), and the place of each value by key path."""

    data: Any
    places: Mapping[KeyPath, Place]

    def nearest(self, path: KeyPath) -> Place:
        """Return the place of the value at `path`, or else of its nearest existing ancestor."""
        return self.places.get(path) or self.nearest(path[:-1])

    def below(self, path: KeyPath) -> Document:
        """Return the value at `path` as a document of its own."""
        data = value_at(self.data, path)
        return Document(data, {key: self.nearest((*path, *key)) for key in paths(data)})

    def without(self, keys: Container[str]) -> Document:
        """Return a copy of a mapping without `keys`."""
        data = {key: value for key, value in self.data.items() if key not in keys}
        return self.changed(data, {})

    def changed(self, data: Any, change: Mapping[KeyPath, Place]) -> Document:
        """Return a document with these `data`, whose values are those of `change` or of this one.

        A value that is in both is that of `change`.
        """
        return Document(
            data, {path: change.get(path) or self.nearest(path) for path in paths(data)}
        )


@dataclass(frozen=True, slots=True)
class Layer:
    """Part of a recipe that is written in one place: a file, or a `--set`."""

    source: str
    """The path of the file, or the text of the `--set`."""
    document: Document
    bases: tuple[str, ...] = ()
    """Sources of the layers that this one changes; the last of them takes precedence."""
    key: KeyPath = ()
    """Key path of a `--set` as it is typed, for messages; empty for a file."""
    value: KeyPath | None = None
    """Key path of the value of a `--set`, which replaces what was there; None for a file."""


def paths(data: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the key path of every value of plain data, mappings, lists and the root included."""
    yield path
    entries: Any = data.items() if isinstance(data, Mapping) else ()
    for key, below in enumerate(data) if isinstance(data, list) else entries:
        yield from paths(below, (*path, key))


def dotted(path: KeyPath) -> str:
    """Return the key path as text: `labels.0.use` for `("labels", 0, "use")`."""
    return ".".join(str(key) for key in path)


def full_path(path: KeyPath) -> KeyPath:
    """Return the key path of a value that is written in a short form, such as `loss`."""
    match path:
        case ("controls", str(name), *below):
            return ("controls", name, *full_path(tuple(below)))
        case (str(key), *below) if key in SHORT:
            return (*SHORT[key], *below)
    return path


def item_names(items: Any) -> list[str | None]:
    """Return the name of each item of a list: the key `name`, or else the component's name."""
    return [_item_name(item) for item in items] if isinstance(items, list) else []


def _item_name(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    name, component = item.get(NAME), item.get(USE)
    if isinstance(name, str):
        return name
    return component.rpartition("/")[-1] if isinstance(component, str) else None


def shown_path(document: Document, path: KeyPath) -> KeyPath:
    """Return a key path as the user wrote it, with names of list items in place of indices."""
    keys: list[str | int] = []
    for depth, key in enumerate(path):
        names = item_names(value_at(document.data, path[:depth])) if isinstance(key, int) else []
        name = names[key] if isinstance(key, int) and key < len(names) else None
        is_clear = name and "." not in name and names.count(name) == 1
        keys.append(name if name and is_clear else key)
    for key, full in SHORT.items():
        item = document.places.get(full[:2])
        if path[: len(full)] == full and (item is None or item.is_short):
            return (key, *keys[len(full) :])
    return tuple(keys)


def has(values: Any, path: KeyPath) -> bool:
    """Return True if plain data have a value at the key path `path`, which may be null."""
    return not path or (_has_key(values, path[0]) and has(values[path[0]], path[1:]))


def value_at(values: Any, path: KeyPath) -> Any:
    """Return the value of plain data at the key path `path`; None if there is none."""
    for key in path:
        if not _has_key(values, key):
            return None
        values = values[key]
    return values


def with_value(values: Any, path: KeyPath, value: Any) -> Any:
    """Return a copy of plain data in which the value at the key path `path` is `value`."""
    if not path:
        return value
    key, below = path[0], path[1:]
    if isinstance(values, list):
        return [
            with_value(item, below, value) if index == key else item
            for index, item in enumerate(values)
        ]
    return {**(values or {}), key: with_value(value_at(values, (key,)), below, value)}


def _has_key(values: Any, key: str | int) -> bool:
    if isinstance(values, Mapping):
        return key in values
    return isinstance(values, list) and isinstance(key, int) and 0 <= key < len(values)
