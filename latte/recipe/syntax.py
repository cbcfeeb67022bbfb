"""Parse YAML 1.2 text into PyYAML's nodes, within limits, and read its unquoted scalars."""

from __future__ import annotations

import math
import re
from typing import Any, TypeAlias

from yaml.composer import Composer
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import AliasEvent, Event, NodeEvent, StreamEndEvent
from yaml.nodes import Node
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from latte.interfaces import LatteError

Scalar: TypeAlias = str | int | float | bool | None

LARGEST_FILE = 1_000_000
"""Largest size of a recipe's file in bytes."""
DEEPEST_NESTING = 50

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

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
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
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_only_document(self) -> Node | None:
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


def compose(text: str, source: str) -> Node | None:
    """Parse the YAML document in `text`; return None for an empty text.

    Raises `LatteError` with line and column for invalid YAML and for several documents.
    """
    try:
        return _Composer(text, source).compose_only_document()
    except ReaderError as error:
        text_above = text[: error.position]
        line, column = text_above.count("\n") + 1, error.position - (text_above.rfind("\n") + 1) + 1
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
