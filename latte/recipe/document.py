"""Read YAML as plain data beside a map of places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from yaml.error import Mark
from yaml.nodes import MappingNode, Node, ScalarNode

from latte.interfaces import LatteError
from latte.io.paths import read_text
from latte.recipe.errors import Mistakes
from latte.recipe.places import OVERRIDE, Document, KeyPath, Place
from latte.recipe.syntax import LARGEST_FILE, compose, position, resolve
from latte.recipe.variables import expand

MOST_VALUES = 100_000
"""Largest number of values in a recipe after its anchors are expanded."""


def read_document(path: Path, environment: Mapping[str, str] = MappingProxyType({})) -> Document:
    """Read a YAML file of any content. Raises `LatteError` for invalid YAML.

    `environment` holds the values of `${VAR}`.
    """
    mistakes = Mistakes()
    root, text = compose(read_text(path, LARGEST_FILE), str(path)), str(path)
    document = DocumentBuilder(text, environment, mistakes).build(root)
    mistakes.raise_if_any()
    return document


class DocumentBuilder:
    """Builds plain data and places of one file, or of one `--set`, and collects mistakes."""

    def __init__(self, source: str, environment: Mapping[str, str], mistakes: Mistakes) -> None:
        self.source = source
        self.environment = environment
        self.mistakes = mistakes
        self.places: dict[KeyPath, Place] = {}
        self.values: int = 0
        self.open: set[int] = set()
        """IDs of collections that are being expanded; a collection that occurs again contains
        itself."""

    def build(self, root: Node | None, path: KeyPath = ()) -> Document:
        """Return the document of a PyYAML node, whose key path is `path`; None: an empty mapping.

        Raises `LatteError` if an anchor contains itself, or for more than `MOST_VALUES` values.
        """
        if root is None:
            return Document({}, {path: Place(self.source, 1)})
        return Document(self._value(root, path, root.start_mark), self.places)

    def build_text(self, text: str, path: KeyPath) -> Document:
        """Return the document of a `--set`: text, unless it starts with a bracket or a quote."""
        if text.startswith(("[", "{", '"', "'")):
            return self.build(compose(text, self.source), path)
        return Document(self._scalar(text, Place(self.source), path, quoted=False), self.places)

    def _value(self, node: Node, path: KeyPath, mark: Mark) -> Any:
        """Return the value of a PyYAML node; `mark` is the position of its key."""
        self.values += 1
        if self.values > MOST_VALUES:
            raise LatteError(
                f"expands to more than {MOST_VALUES:,} values",
                where=position(self.source, node.start_mark),
                hint="Remove aliases (*NAME) that contain other aliases.",
            )
        place = self._place(mark)
        if isinstance(node, ScalarNode):
            return self._scalar(str(node.value), place, path, quoted=node.style is not None)
        if id(node) in self.open:
            where = position(self.source, node.start_mark)
            raise LatteError("an anchor contains itself", where=where)
        self.open.add(id(node))
        self.places[path] = place
        value = (
            self._entries(node, path)
            if isinstance(node, MappingNode)
            else [
                self._value(item, (*path, index), item.start_mark)
                for index, item in enumerate(node.value)
            ]
        )
        self.open.remove(id(node))
        return value

    def _entries(self, mapping: MappingNode, path: KeyPath) -> dict[str, Any]:
        """Return the entries of a mapping; report and leave out invalid and repeated keys."""
        entries: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value in mapping.value:
            mark = key_node.start_mark
            key = self._key(key_node, path)
            if key in lines:
                what = f'the key "{key}" occurs twice here, first in line {lines[key]}'
                self.mistakes.add(self._place(mark), (*path, key), what, "Keep one of them.")
            elif key is not None:
                lines[key] = mark.line + 1
                entries[key] = self._value(value, (*path, key), mark)
        return entries

    def _key(self, node: Node, path: KeyPath) -> str | None:
        place = self._place(node.start_mark)
        if not isinstance(node, ScalarNode):
            self.mistakes.add(place, path, "a key must be text, not a list or a mapping")
            return None
        text = str(node.value)
        try:
            is_text = node.style is not None or isinstance(resolve(text), str)
        except ValueError:
            is_text = False
        if not is_text:
            what = f"the key {text} is not text" if text else "a key is empty"
            self.mistakes.add(place, path, what, f'Put it in quotes: "{text}".')
            return None
        return text if self._is_encodable(text, place, path) else None

    def _scalar(self, text: str, place: Place, path: KeyPath, *, quoted: bool) -> Any:
        """Return the value of a scalar; a `quoted` scalar stays text. Mistakes are reported."""
        self.places[path] = replace(place, text=text, is_broken=True)
        if not self._is_encodable(text, place, path):
            return ""
        try:
            value = text if quoted else resolve(text)
            place = replace(place, text=text)
            if isinstance(value, str):
                value, place = expand(value, self.environment, place)
        except ValueError as error:
            hint = "Put it in quotes if it is meant as text."
            self.mistakes.add(self.places[path], path, str(error), hint)
            return text
        except LatteError as error:
            self.mistakes.add(self.places[path], path, error.what, error.hint)
            return text
        self.places[path] = place
        return value

    def _is_encodable(self, text: str, place: Place, path: KeyPath) -> bool:
        """Report text that UTF-8 cannot encode, such as the YAML escape of a lone surrogate."""
        try:
            text.encode()
        except UnicodeEncodeError:
            what = "half of a surrogate pair is not a character"
            self.mistakes.add(self.places.get(path, place), path, what)
            return False
        return True

    def _place(self, mark: Mark) -> Place:
        if self.source == OVERRIDE:
            return Place(self.source)
        return Place(self.source, mark.line + 1, mark.column + 1)
