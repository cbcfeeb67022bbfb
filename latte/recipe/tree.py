"""Build nodes from YAML: resolve scalars, and expand variables and aliases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from yaml.error import Mark
from yaml.nodes import MappingNode, ScalarNode
from yaml.nodes import Node as YamlNode

from latte.interfaces import LatteError
from latte.io.paths import read_text
from latte.recipe.mistakes import Mistakes
from latte.recipe.node import OVERRIDE, KeyPath, Node, Origin
from latte.recipe.variables import expand
from latte.recipe.yaml import LARGEST_FILE, compose, position, resolve

MOST_VALUES = 100_000
"""Largest number of values in a recipe after its anchors are expanded."""


class TreeBuilder:
    """Builder of the nodes of one file or `--set`; it collects mistakes and continues."""

    def __init__(self, source: str, environment: Mapping[str, str], mistakes: Mistakes) -> None:
        self.source = source
        self.environment = environment
        self.mistakes = mistakes
        self.values = 0
        self.open: set[int] = set()
        """IDs of collections that are being expanded; if one occurs again, it contains itself."""

    def build(self, yaml_node: YamlNode, path: KeyPath = (), mark: Mark | None = None) -> Node:
        """Return `yaml_node` as a node with all its children; `mark` is the position of its key.

        Raises `LatteError` for anchors that contain themselves or expand without bound.
        """
        self.values += 1
        if self.values > MOST_VALUES:
            raise LatteError(
                f"expands to more than {MOST_VALUES:,} values",
                where=position(self.source, yaml_node.start_mark),
                hint="Remove aliases (*NAME) that contain other aliases.",
            )
        origin = self._origin(mark or yaml_node.start_mark)
        if isinstance(yaml_node, ScalarNode):
            text = str(yaml_node.value)
            if not self._encodable(text, origin, path):
                return Node("", origin, broken=True)
            return self.scalar(text, origin, path, quoted=yaml_node.style is not None)
        if id(yaml_node) in self.open:
            where = position(self.source, yaml_node.start_mark)
            raise LatteError("an anchor contains itself", where=where)
        self.open.add(id(yaml_node))
        if isinstance(yaml_node, MappingNode):
            node = Node(self._entries(yaml_node, path), origin)
        else:
            items = enumerate(yaml_node.value)
            node = Node([self.build(item, (*path, index)) for index, item in items], origin)
        self.open.remove(id(yaml_node))
        return node

    def _entries(self, mapping: MappingNode, path: KeyPath) -> dict[str, Node]:
        """Return the entries of a mapping; unusable and repeated keys are reported."""
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value in mapping.value:
            mark = key_node.start_mark
            key = self._key(key_node, path)
            if key in lines:
                what = f'the key "{key}" occurs twice here, first in line {lines[key]}'
                self.mistakes.add(self._origin(mark), (*path, key), what, "Keep one of them.")
            elif key is not None:
                lines[key] = mark.line + 1
                entries[key] = self.build(value, (*path, key), mark)
        return entries

    def _key(self, key_node: YamlNode, path: KeyPath) -> str | None:
        """Return the key's text; None if the key is refused, which is reported."""
        origin = self._origin(key_node.start_mark)
        if not isinstance(key_node, ScalarNode):
            self.mistakes.add(origin, path, "a key must be text, not a list or a mapping")
            return None
        text = str(key_node.value)
        try:
            is_text = key_node.style is not None or isinstance(resolve(text), str)
        except ValueError:
            is_text = False
        if not is_text:
            what = f"the key {text} is not text" if text else "a key is empty"
            self.mistakes.add(origin, path, what, f'Put it in quotes: "{text}".')
            return None
        return text if self._encodable(text, origin, path) else None

    def scalar(self, text: str, origin: Origin, path: KeyPath, *, quoted: bool) -> Node:
        """Return the node of a scalar written as `text`."""
        try:
            value = text if quoted else resolve(text)
            if isinstance(value, str):
                return expand(value, self.environment, origin)
            return Node(value, origin)
        except ValueError as error:
            self.mistakes.add(origin, path, str(error), "Put it in quotes if it is meant as text.")
            return Node(text, origin, broken=True)
        except LatteError as error:
            self.mistakes.add(origin, path, error.what, error.hint)
            return Node(text, origin, broken=True)

    def _encodable(self, text: str, origin: Origin, path: KeyPath) -> bool:
        """Return true if `text` can be UTF-8; half of a surrogate pair cannot, and is reported."""
        try:
            text.encode()
        except UnicodeEncodeError:
            self.mistakes.add(origin, path, "half of a surrogate pair is not a character")
            return False
        return True

    def _origin(self, mark: Mark) -> Origin:
        if self.source == OVERRIDE:
            return Origin(self.source)
        return Origin(self.source, mark.line + 1, mark.column + 1)


def read_nodes(path: Path, environment: Mapping[str, str] = MappingProxyType({})) -> Node:
    """Read a YAML file, such as a recipe, into nodes. Raises `LatteError`.

    `environment` holds the values of `${VAR}`.
    """
    document = compose(read_text(path, LARGEST_FILE), str(path))
    if document is None:
        return Node({}, Origin(str(path), 1))
    mistakes = Mistakes()
    root = TreeBuilder(str(path), environment, mistakes).build(document)
    mistakes.raise_if_any()
    return root
