"""What pydantic found wrong, in our words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

from latte.recipe.node import Node
from latte.recipe.scalars import resolve
from latte.registry.suggest import did_you_mean

EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("string_type", "path_type"), "text"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping (key: value)"),
    "none_required": "null",
}
"""Types of error that say "wrong type", and what was expected."""

_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}
_CHOICE = re.compile(r"'([^']*)'|([^\s,]+)")
_SWITCHES = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def in_words(value: Any) -> str:
    """What was written, as a message names it."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{_shortened(value)}"'
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else f"the number {value}"


def explain(errors: Sequence[ErrorDetails], node: Node) -> tuple[str, str | None]:
    """What is wrong with `node`, and what to do: `errors` are all those at its place."""
    expected = [EXPECTED[error["type"]] for error in errors if error["type"] in EXPECTED]
    choices = [error["ctx"]["expected"] for error in errors if error["type"] == "literal_error"]
    if expected and len(expected) + len(choices) == len(errors):
        return wrong_type([*expected, *(choice.strip("'") for choice in choices)], node)
    first = next(error for error in errors if error["type"] not in EXPECTED)
    context = first.get("ctx", {})
    if first["type"] in ("literal_error", "enum"):
        return _wrong_choice(context["expected"], node)
    if first["type"] in _LIMITS:
        words, key = _LIMITS[first["type"]]
        return f"must be {words} {context[key]}, got {node.plain()}", None
    return _other(first, context, node)


def wrong_type(expected: Sequence[str], node: Node) -> tuple[str, str | None]:
    """`node` is none of what was expected."""
    wanted = [*dict.fromkeys(expected)]
    return f"expected {' or '.join(wanted)}, got {in_words(node.plain())}", _retype(wanted, node)


def _wrong_choice(expected: str, node: Node) -> tuple[str, str | None]:
    choices = [quoted or bare for quoted, bare in _CHOICE.findall(expected)]
    choices = [choice for choice in choices if choice != "or"]
    what = f"must be {' or '.join(choices)}, got {in_words(node.plain())}"
    guess = did_you_mean(node.value, choices) if isinstance(node.value, str) else None
    return what, guess or None


def _other(error: ErrorDetails, context: dict[str, Any], node: Node) -> tuple[str, str | None]:
    value = node.plain()
    match error["type"]:
        case "string_pattern_mismatch":
            return f'"{_shortened(value)}" does not match the pattern {context["pattern"]}', None
        case "too_long":
            return f"takes at most {context['max_length']} items, got {len(value)}", None
        case "too_short":
            return f"needs at least {context['min_length']} items, got {len(value)}", None
        case "missing":
            return f"needs more items than the {len(value)} that are given", None
        case "string_too_long":
            return f"must have at most {context['max_length']} characters", None
        case "string_too_short":
            return f"must have at least {context['min_length']} characters", None
        case "value_error" | "assertion_error":
            return str(context.get("error") or error["msg"]), None
    return error["msg"][:1].lower() + error["msg"][1:], None


def _retype(expected: Sequence[str], node: Node) -> str | None:
    """How to write the same value as the type that was expected."""
    value = node.value
    if isinstance(value, str):
        return _from_text(expected, value, node)
    if isinstance(value, float) and "a whole number" in expected and value.is_integer():
        return f"Write {int(value)}."
    if "text" in expected and isinstance(value, int | float):
        return f'Put it in quotes: "{in_words(value).removeprefix("the number ")}".'
    if "a list" in expected and isinstance(value, int | float):
        return "Write it in brackets, as a list."
    return None


def _from_text(expected: Sequence[str], text: str, node: Node) -> str | None:
    if "true or false" in expected and text.lower() in {*_SWITCHES, "true", "false"}:
        return f"Write {_SWITCHES.get(text.lower(), text.lower())}, without quotes."
    if {"a number", "a whole number"} & {*expected}:
        return _number_from_text(text, node)
    return f"Write it in brackets: [{text}]." if "a list" in expected else None


def _number_from_text(text: str, node: Node) -> str | None:
    plain = text.strip().replace("_", "").replace(",", "")
    try:
        is_number = isinstance(resolve(plain), int | float)
    except ValueError:
        return None
    if not is_number:
        return None
    if node.origin.variables:
        return "A variable always gives text; give numbers with --set instead."
    return f"Remove the quotes: {plain}" if plain == text else f"Write {plain}, without quotes."


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
