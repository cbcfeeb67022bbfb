"""Build nodes from YAML: resolve scalars, and expand variables and aliases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from yaml.error import Mark
from yaml.nodes import MappingNode, ScalarNode, SequenceNode
from yaml.nodes import Node as YamlNode

from latte.interfaces import LatteError
from latte.io.paths import read_text
from latte.recipe.mistakes import Mistakes
from latte.recipe.node import OVERRIDE, KeyPath, Node, Origin, Scalar
from latte.recipe.variables import expand
from latte.recipe.yaml import LARGEST_FILE, compose, position, resolve

MOST_VALUES = 100_000
"""Largest number of values in a recipe after its anchors are expanded."""

_MERGE = "<<"


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
        self._count(yaml_node)
        origin = self._origin(mark or yaml_node.start_mark)
        if isinstance(yaml_node, ScalarNode):
            text = str(yaml_node.value)
            if not self._encodable(text, origin, path):
                return Node("", origin, broken=True)
            return self.scalar(text, origin, path, quoted=yaml_node.style is not None)
        with self._opened(yaml_node):
            if isinstance(yaml_node, MappingNode):
                return Node(self._entries(yaml_node, path), origin)
            items = enumerate(yaml_node.value)
            return Node([self.build(item, (*path, index)) for index, item in items], origin)

    def _entries(self, mapping: MappingNode, path: KeyPath) -> dict[str, Node]:
        """Return the mapping's entries; own entries take precedence over those merged by `<<`."""
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value, mark in self._pairs(mapping, path):
            if key is None:
                for entries in self._merged(value, path):
                    merged = {**entries, **merged}
            else:
                own[key] = self.build(value, (*path, key), mark)
        return {**merged, **own}

    def _pairs(
        self, mapping: MappingNode, path: KeyPath
    ) -> Iterator[tuple[str | None, YamlNode, Mark]]:
        """Yield keys (None for `<<`), values and positions; unusable keys are reported."""
        seen: dict[str | None, Mark] = {}
        for key_node, value in mapping.value:
            mark = key_node.start_mark
            is_merge = _is_merge(key_node)
            key = None if is_merge else self._key(key_node, path)
            if key is None and not is_merge:
                continue
            if key in seen:
                name = _MERGE if key is None else key
                what = f'the key "{name}" occurs twice here, first in line {seen[key].line + 1}'
                self.mistakes.add(self._origin(mark), (*path, name), what, "Keep one of them.")
            else:
                seen[key] = mark
                yield key, value, mark

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

    def _merged(self, value: YamlNode, path: KeyPath) -> Iterator[dict[str, Node]]:
        """Yield the entries of each mapping at `<<`."""
        sources = value.value if isinstance(value, SequenceNode) else [value]
        for source in sources:
            if isinstance(source, MappingNode):
                self._count(source)
                with self._opened(source):
                    yield self._entries(source, path)
            else:
                what = "<< takes a mapping, or a list of them"
                self.mistakes.add(self._origin(value.start_mark), path, what)

    def scalar(self, text: str, origin: Origin, path: KeyPath, *, quoted: bool) -> Node:
        """Return the node of a scalar written as `text`."""
        value: Scalar
        try:
            value = text if quoted else resolve(text)
            if not isinstance(value, str):
                return Node(value, origin)
            expansion = expand(value, self.environment)
        except ValueError as error:
            self.mistakes.add(origin, path, str(error), "Put it in quotes if it is meant as text.")
            return Node(text, origin, broken=True)
        except LatteError as error:
            self.mistakes.add(origin, path, error.what, error.hint)
            return Node(text, origin, broken=True)
        written = text if expansion.is_secret else None
        expanded = replace(origin, variables=expansion.variables)
        return Node(expansion.text, expanded, written=written, filled=expansion.filled)

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

    def _count(self, yaml_node: YamlNode) -> None:
        self.values += 1
        if self.values > MOST_VALUES:
            raise LatteError(
                f"expands to more than {MOST_VALUES:,} values",
                where=position(self.source, yaml_node.start_mark),
                hint="Remove aliases (*NAME) that contain other aliases.",
            )

    @contextmanager
    def _opened(self, yaml_node: YamlNode) -> Iterator[None]:
        if id(yaml_node) in self.open:
            where = position(self.source, yaml_node.start_mark)
            raise LatteError("an anchor contains itself", where=where)
        self.open.add(id(yaml_node))
        yield
        self.open.remove(id(yaml_node))


def _is_merge(key_node: YamlNode) -> bool:
    return isinstance(key_node, ScalarNode) and key_node.style is None and key_node.value == _MERGE


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
