"""Collect all mistakes of a recipe, and explain pydantic's errors in plain words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import ErrorDetails

from latte.interfaces import LatteError, RecipeErrors
from latte.interfaces.errors import did_you_mean
from latte.recipe.layout import with_item_names
from latte.recipe.node import OVERRIDE, KeyPath, Node, Origin, deepest, dotted, resolve

EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("string_type", "path_type"), "text"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping (key: value)"),
    "none_required": "null",
}
"""Expected type in plain words, by pydantic's error code."""

_MESSAGES = {
    "greater_than": "must be greater than {gt}, got {value}",
    "greater_than_equal": "must be at least {ge}, got {value}",
    "less_than": "must be less than {lt}, got {value}",
    "less_than_equal": "must be at most {le}, got {value}",
    "multiple_of": "must be a multiple of {multiple_of}, got {value}",
    "string_pattern_mismatch": '"{value}" does not match the pattern {pattern}',
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "takes at most {max_length} items, got {count}",
    "too_short": "needs at least {min_length} items, got {count}",
    "missing": "needs more items than the {count} that are given",
}
"""Message by pydantic's error code; values in braces come from pydantic's error context."""
_CHOICE = re.compile(r"'([^']*)'|([^\s,]+)")
_SWITCHES = {
    **dict.fromkeys(("true", "yes", "on", "y"), "true"),
    **dict.fromkeys(("false", "no", "off", "n"), "false"),
}


@dataclass(frozen=True)
class Mistake:
    """One error in a recipe, with the key path and the line of the value."""

    origin: Origin
    path: KeyPath
    """Key path within the recipe, or within the control that has the mistake."""
    error: LatteError


@dataclass
class Mistakes:
    """Collection of the mistakes found so far in a recipe, raised together at the end."""

    found: list[Mistake] = field(default_factory=list)
    prefix: KeyPath = ()
    """Prefix of every key path in messages: `("controls", NAME)` while a control is checked."""
    root: Node | None = None
    """The recipe or control that is checked; messages use the names of its list items."""

    def add(self, origin: Origin, path: KeyPath, what: str, hint: str | None = None) -> None:
        """Report a mistake at the key path `path`; `origin` is the line of the value."""
        error = LatteError(what, where=self.where(origin, path), hint=hint)
        self.found.append(Mistake(origin, path, error))

    def add_at(self, path: KeyPath, what: str, hint: str | None = None) -> None:
        """Report a mistake at `path`.

        If the recipe lacks `path`, the message has the line of the nearest existing ancestor.
        """
        assert self.root is not None, "the recipe is read before its sections are checked"
        self.add(deepest(self.root, path).origin, path, what, hint)

    def where(self, origin: Origin, path: KeyPath) -> str:
        """Return the place of a mistake for messages: `file:line key.path`."""
        named = path if self.root is None else with_item_names(self.root, path)
        return f"{origin.position} {dotted((*self.prefix, *named))}".rstrip()

    def adopt(self, others: Mistakes) -> None:
        """Add the mistakes of a control (variant of the recipe), unless the recipe has them too."""
        known = {(mistake.path, mistake.error.what) for mistake in self.found}
        self.found += [
            mistake for mistake in others.found if (mistake.path, mistake.error.what) not in known
        ]

    def raise_if_any(self) -> None:
        """Raise `RecipeErrors` if there are mistakes, sorted by file and line; `--set` is last."""

        def order(mistake: Mistake) -> tuple[bool, str, int, int]:
            origin = mistake.origin
            return (origin.line is None, origin.source, origin.line or 0, origin.column)

        if self.found:
            raise RecipeErrors([mistake.error for mistake in sorted(self.found, key=order)])


def in_words(value: Any) -> str:
    """Return a value in words for messages, such as `the number 3` or `a mapping`."""
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return str(value).lower()
        case str():
            return f'the text "{_shortened(value)}"'
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return f"the number {value}"


def explain(errors: Sequence[ErrorDetails], node: Node) -> tuple[str, str | None]:
    """Return message and hint for pydantic's `errors`, which are all about the value `node`."""
    expected = [EXPECTED[error["type"]] for error in errors if error["type"] in EXPECTED]
    choices = [error["ctx"]["expected"] for error in errors if error["type"] == "literal_error"]
    if expected and len(expected) + len(choices) == len(errors):
        return wrong_type([*expected, *(choice.strip("'") for choice in choices)], node)
    first = next(error for error in errors if error["type"] not in EXPECTED)
    context = first.get("ctx", {})
    if first["type"] in ("literal_error", "enum"):
        found = (quoted or bare for quoted, bare in _CHOICE.findall(context["expected"]))
        choices = [choice for choice in found if choice != "or"]
        what = f"must be {' or '.join(choices)}, got {in_words(node.plain())}"
        guess = did_you_mean(node.value, choices) if isinstance(node.value, str) else None
        return what, guess or None
    if first["type"] in ("value_error", "assertion_error"):
        return str(context.get("error") or first["msg"]), None
    if message := _MESSAGES.get(first["type"]):
        value = _shortened(node.value) if isinstance(node.value, str) else node.plain()
        return message.format(value=value, count=len([*node.items()]), **context), None
    return first["msg"][:1].lower() + first["msg"][1:], None


def wrong_type(expected: Sequence[str], node: Node) -> tuple[str, str | None]:
    """Return message and hint for a value of the wrong type; `expected` names the right types."""
    wanted = [*dict.fromkeys(expected)]
    return f"expected {' or '.join(wanted)}, got {in_words(node.plain())}", _retype(wanted, node)


def _retype(expected: Sequence[str], node: Node) -> str | None:
    """Return a hint on how to write the value in the expected type, or None."""
    value = node.value
    if isinstance(value, str):
        if "true or false" in expected and value.lower() in _SWITCHES:
            return f"Write {_SWITCHES[value.lower()]}, without quotes."
        if {"a number", "a whole number"} & {*expected}:
            return _number_from_text(value, node)
        return f"Write it in brackets: [{value}]." if "a list" in expected else None
    if isinstance(value, float) and "a whole number" in expected and value.is_integer():
        return f"Write {int(value)}."
    if "text" in expected and isinstance(value, int | float):
        quoted = f'"{node.spelling}"'
        in_shell = node.origin.source == OVERRIDE  # a shell removes the outer quotes
        return f"Put it in quotes: {shlex.quote(quoted) if in_shell else quoted}."
    if "a list" in expected and isinstance(value, int | float):
        return "Write it in brackets, as a list."
    return None


def _number_from_text(text: str, node: Node) -> str | None:
    plain = text.strip().replace("_", "").replace(",", "")
    try:
        number = resolve(plain)
    except ValueError:
        return None
    if not isinstance(number, int | float):
        return None
    if node.origin.variables:
        return "A variable always gives text; give numbers with --set instead."
    return f"Remove the quotes: {plain}" if plain == text else f"Write {plain}, without quotes."


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
