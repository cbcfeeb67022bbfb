"""Write plain data as YAML that means the same in YAML 1.1 and 1.2."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from latte.io.variables import escape
from latte.recipe.places import KeyPath
from latte.recipe.variables import Written

WIDTH = 80
_INDENT = 2

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./+@()%-]*(?:[ :][A-Za-z0-9_./+@()%-]+)*")
_MISREAD = re.compile(
    r"y|n|yes|no|on|off|true|false|null|[-+]?\.(inf|nan)|\.[\d_].*|\.+", re.IGNORECASE
)
"""Texts that some YAML parsers read as a number, a boolean or null; they must be quoted."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of YAML, and the key path of its value."""

    text: str
    path: KeyPath
    holds_value: bool
    """False for a key whose value is on the lines below."""


def dump_yaml(value: Any) -> str:
    """Return plain data as YAML; `load_recipe` reads it back unchanged, even texts with `${`."""
    return "".join(f"{line.text}\n" for line in yaml_lines(value))


def with_placeholders(value: Any) -> Any:
    """Return plain data whose texts `expand_variables` turns into those of `value`.

    Only placeholders of secrets, such as `${TOKEN}`, stay as they are.
    """
    if isinstance(value, dict):
        return {key: with_placeholders(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [with_placeholders(item) for item in value]
    return _with_placeholder(value) if isinstance(value, str) else value


def _with_placeholder(text: str) -> str:
    return str(text) if isinstance(text, Written) else escape(text)


def yaml_lines(value: Any, path: KeyPath = (), indent: int = 0) -> Iterator[Line]:
    """Yield YAML lines for `value`, indented by `indent`; `path` is the key path of `value`."""
    if _is_block(value, indent, ""):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, below in entries:
            yield from _entry(key, below, (*path, key), indent)
    else:
        yield Line(" " * indent + _inline(value), path, holds_value=True)


def _entry(key: str | int, value: Any, path: KeyPath, indent: int) -> Iterator[Line]:
    if isinstance(key, int):  # the first line of an item has a dash in place of two spaces
        first_line, *below = yaml_lines(value, path, indent + _INDENT)
        dash = f"{' ' * indent}- {first_line.text[indent + _INDENT :]}"
        yield from (replace(first_line, text=dash), *below)
        return
    start = f"{' ' * indent}{_scalar(key, is_key=True)}:"
    if _is_block(value, indent, start):
        yield Line(start, path, holds_value=False)
        yield from yaml_lines(value, path, indent + _INDENT)
    else:
        yield Line(f"{start} {_inline(value)}", path, holds_value=True)


def _is_block(value: Any, indent: int, start: str) -> bool:
    """Return True if `value` takes several lines; a list of scalars takes one line if it fits."""
    if not isinstance(value, dict | list | tuple) or not value:
        return False
    if isinstance(value, dict) or any(isinstance(item, dict | list | tuple) for item in value):
        return True
    return indent + len(start) + 1 + len(_inline(value)) > WIDTH


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_scalar(item) for item in value)}]"
    return _scalar(value)


def _scalar(value: Any, *, is_key: bool = False) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):  # with a point: YAML 1.1 reads `1e-07` as text
        mantissa, exponent, power = repr(value).partition("e")
        return mantissa + ".0" * bool(exponent and "." not in mantissa) + exponent + power
    if isinstance(value, int):
        return str(value)
    text = value if is_key else _with_placeholder(value)
    return text if _PLAIN.fullmatch(text) and not _MISREAD.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    characters = (
        json.dumps(character, ensure_ascii=False)[1:-1]
        if character.isprintable() or character in "\n\t\r"
        else f"\\U{ord(character):08x}"
        if character > "\uffff"
        else f"\\u{ord(character):04x}"
        for character in text
    )
    return f'"{"".join(characters)}"'
