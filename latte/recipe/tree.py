"""Read YAML 1.2 into `Node` objects, which keep the line of each value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from yaml.composer import Composer
from yaml.error import Mark, MarkedYAMLError, YAMLError
from yaml.events import AliasEvent, Event, NodeEvent, StreamEndEvent
from yaml.nodes import MappingNode, ScalarNode
from yaml.nodes import Node as YamlNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from latte.interfaces import LatteError
from latte.io.paths import read_text
from latte.recipe.mistakes import Mistakes
from latte.recipe.node import OVERRIDE, KeyPath, Node, Origin, resolve
from latte.recipe.variables import expand

_HINTS = {
    "\\t": "YAML is indented with spaces, not with tabs.",
    "mapping values are not": 'Check the indentation, or put text that contains ": " in quotes.',
    "expected ',' or": "A comma or a closing bracket is missing, or text with , [ ] { } needs "
    "quotes.",
    "cannot start any token": "Put text that starts with this character in quotes.",
    "could not find expected ':'": "The line above is not `key: value`.",
    "undefined alias": "Name something with &NAME before using it as *NAME, or put the text in "
    "quotes.",
}
"""Hint on how to fix a mistake, by a part of PyYAML's message about it."""
LARGEST_FILE = 1_000_000
DEEPEST_NESTING = 50
MOST_VALUES = 100_000
"""Largest number of values in a recipe after its anchors are expanded."""


class _Composer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's parser without the last stage, which would construct Python objects."""

    def __init__(self, text: str, source: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.source = source
        self.depth = 0

    def compose_node(self, parent: YamlNode | None, index: int) -> YamlNode | None:
        event: Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, NodeEvent) and not isinstance(event, AliasEvent):
            tag = getattr(event, "tag", None)
            if tag is not None:
                written = tag.replace("tag:yaml.org,2002:", "!!")
                where = position(self.source, event.start_mark)
                hint = "Recipes hold plain values only. Remove the tag, or put the text in quotes."
                raise LatteError(f"the tag {written} is not allowed", where=where, hint=hint)
        self.depth += 1
        if self.depth > DEEPEST_NESTING:
            raise LatteError(
                f"nested deeper than {DEEPEST_NESTING} levels",
                where=position(self.source, event.start_mark),
            )
        node: YamlNode | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_only_document(self) -> YamlNode | None:
        self.get_event()  # type: ignore[no-untyped-call]
        document = None if self.check_event(StreamEndEvent) else self.compose_document()
        if not self.check_event(StreamEndEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise LatteError(
                "a second document starts here",
                where=position(self.source, event.start_mark),
                hint="Keep one recipe per file; remove the line with --- between them.",
            )
        return document


def compose(text: str, source: str) -> YamlNode | None:
    """Parse the YAML document in `text`; return None for an empty text.

    Raises `LatteError` with line and column for invalid YAML and for several documents.
    """
    try:
        return _Composer(text, source).compose_only_document()
    except ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
        raise LatteError(
            f"the character {error.character!r} is not allowed in YAML",
            where=f"{source}:{line}:{column}",
            hint="Remove it; it may be invisible in your editor.",
        ) from error
    except MarkedYAMLError as error:
        raise LatteError(
            f"not valid YAML: {error.problem or error.context}",
            where=position(source, error.problem_mark or error.context_mark),
            hint=_hint(error, text),
        ) from error
    except (YAMLError, ValueError, OverflowError) as error:
        raise LatteError(f"not valid YAML: {error}", where=source) from error


def position(source: str, mark: Any) -> str:
    """Return `file:line:column` of PyYAML's `mark`; line and column count from one."""
    return source if mark is None else f"{source}:{mark.line + 1}:{mark.column + 1}"


def _hint(error: MarkedYAMLError, text: str) -> str | None:
    problem = error.problem or ""
    mark = error.problem_mark
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "'{'" in problem and "${" in line:
        return 'Between { } or [ ], text with a variable needs quotes: "${NAME}/folder".'
    return next((hint for part, hint in _HINTS.items() if part in problem), None)


class TreeBuilder:
    """Builds the nodes of one file, or of one `--set`, and collects mistakes."""

    def __init__(self, source: str, environment: Mapping[str, str], mistakes: Mistakes) -> None:
        self.source = source
        self.environment = environment
        self.mistakes = mistakes
        self.values = 0
        self.open: set[int] = set()
        """IDs of collections that are being expanded; a collection that occurs again contains
        itself."""

    def build(self, yaml_node: YamlNode, path: KeyPath = (), mark: Mark | None = None) -> Node:
        """Convert a PyYAML node and its children to a `Node`; `mark` is the position of its key.

        Raises `LatteError` if an anchor contains itself, or for more than `MOST_VALUES` values.
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
        """Return the entries of a mapping; report and leave out invalid and repeated keys."""
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
        """Return the node for a scalar; a `quoted` scalar stays text. Mistakes are reported."""
        try:
            value = text if quoted else resolve(text)
            if isinstance(value, str):
                return expand(value, self.environment, origin)
            return Node(value, origin, spelling=text)
        except ValueError as error:
            self.mistakes.add(origin, path, str(error), "Put it in quotes if it is meant as text.")
        except LatteError as error:
            self.mistakes.add(origin, path, error.what, error.hint)
        return Node(text, origin, broken=True)

    def _encodable(self, text: str, origin: Origin, path: KeyPath) -> bool:
        """Report text that UTF-8 cannot encode, such as the YAML escape of a lone surrogate."""
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
    """Read a YAML file, such as a recipe, into a tree of nodes, and return the root.

    `environment` holds the values of `${VAR}`. Raises `LatteError` for invalid YAML.
    """
    document, mistakes = compose(read_text(path, LARGEST_FILE), str(path)), Mistakes()
    root = build_tree(document, str(path), environment, mistakes)
    mistakes.raise_if_any()
    return root


def build_tree(
    document: YamlNode | None, source: str, environment: Mapping[str, str], mistakes: Mistakes
) -> Node:
    """Return the root node of the file `source`; an empty file gives an empty mapping."""
    if document is None:
        return Node({}, Origin(source, 1))
    return TreeBuilder(source, environment, mistakes).build(document)
