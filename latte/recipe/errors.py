"""Collect all mistakes of a recipe, and put pydantic's errors into plain words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from latte.interfaces import LatteError, RecipeErrors
from latte.interfaces.errors import did_you_mean, suggestion
from latte.recipe.places import (
    OVERRIDE,
    Document,
    KeyPath,
    Place,
    dotted,
    has,
    shown_path,
    value_at,
)
from latte.recipe.syntax import resolve
from latte.registry.registry import Registry

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


_MOST_SECTIONS = 3


@dataclass(frozen=True)
class Mistake:
    """One error in a recipe, with the key path and the place of the value."""

    place: Place
    path: KeyPath
    """Key path within the recipe, or within the control that has the mistake."""
    error: LatteError


@dataclass
class Mistakes:
    """Collection of the mistakes found so far in a recipe, raised together at the end."""

    found: list[Mistake] = field(default_factory=list)

    def add(
        self,
        place: Place,
        path: KeyPath,
        what: str,
        hint: str | None = None,
        shown: KeyPath | None = None,
    ) -> None:
        """Report a mistake at the key path `path`; messages show the key path `shown`."""
        where = f"{place.position} {dotted(path if shown is None else shown)}".rstrip()
        self.found.append(Mistake(place, path, LatteError(what, where=where, hint=hint or None)))

    def has(self, path: KeyPath, what: str) -> bool:
        """Return True if this mistake at `path` was reported, for the recipe or for a control."""
        return any((mistake.path, mistake.error.what) == (path, what) for mistake in self.found)

    def forget_replaced(self, document: Document) -> None:
        """Drop the mistakes in values that the merged recipe `document` does not contain."""
        present = {*document.places.values()}
        self.found = [
            mistake
            for mistake in self.found
            if not mistake.place.is_broken or mistake.place in present
        ]

    def raise_if_any(self) -> None:
        """Raise `RecipeErrors` if there are mistakes, sorted by file and line; `--set` is last."""

        def order(mistake: Mistake) -> tuple[bool, str, int, int]:
            place = mistake.place
            return (place.line is None, place.source, place.line or 0, place.column)

        if self.found:
            raise RecipeErrors([mistake.error for mistake in sorted(self.found, key=order)])


@dataclass
class Check:
    """One check of a document: of a recipe, of a control, or of another YAML file."""

    document: Document
    registry: Registry = field(default_factory=lambda: Registry([]))
    prefix: KeyPath = ()
    """Prefix of every key path in messages: `("controls", NAME)` for a control."""
    mistakes: Mistakes = field(default_factory=Mistakes)
    find_homes: Callable[[Check], Mapping[str, Sequence[str]]] = lambda _: {}
    """Returns the sections to which each key belongs, for hints about misplaced keys."""

    @cached_property
    def _homes(self) -> Mapping[str, Sequence[str]]:
        return self.find_homes(self)

    def add(self, path: KeyPath, what: str, hint: str | None = None) -> None:
        """Report a mistake at `path`, unless one was reported while the value was read.

        If the document lacks `path`, the message has the line of the nearest existing ancestor. A
        control's mistake that the recipe has, too, is reported once.
        """
        place = self.document.nearest(path)
        if place.is_broken or (self.prefix and self.mistakes.has(path, what)):
            return
        self.mistakes.add(place, path, what, hint, (*self.prefix, *shown_path(self.document, path)))

    def report(self, error: ValidationError) -> None:
        """Report the errors of `model_of`, one mistake for all errors about the same value.

        There is one error per member of a union. If one member refuses the type of a value, and
        another refuses a value inside it, only the second is reported.
        """
        groups: dict[KeyPath, list[ErrorDetails]] = {}
        for detail in error.errors(include_url=False):
            groups.setdefault(detail["loc"], []).append(detail)
        collections = {path[:end] for path in groups for end in range(len(path))}
        for path, group in groups.items():
            is_wrong_type = all(detail["type"] in EXPECTED for detail in group)
            if not (is_wrong_type and path in collections):
                self.add(path, *self._words(path, group))

    def _words(self, path: KeyPath, errors: Sequence[ErrorDetails]) -> tuple[str, str | None]:
        """Return message and hint for pydantic's `errors` about the value at `path`."""
        value, (detail, *_) = value_at(self.document.data, path), errors
        about: FieldInfo | None = detail["ctx"].get("field")
        if detail["type"] == "extra_forbidden":
            return self._unknown_key(str(path[-1]), detail["ctx"]["keys"])
        if about and value is None and detail["type"] in ("missing", "expected"):
            if about.is_required():
                return _missing(str(path[-1]), about)
            return "names no component", "Remove the key for the default."
        if has(self.document.data, path) or detail["type"] == "mistake":
            return explain(errors, value, self.document.nearest(path))
        return f"its default is refused: {detail['msg']}", "Give a value here."

    def _unknown_key(self, key: str, names: Sequence[str]) -> tuple[str, str]:
        """Return message and hint for an unknown `key` in a mapping that allows only `names`."""
        hint = suggestion(key, names, "All keys here")
        if key == "<<":
            hint = "YAML 1.2 has no merge keys. Repeat the values, or extend another recipe."
        elif homes := self._homes.get(key):
            hint = f"It belongs to {' or '.join([*dict.fromkeys(homes)][:_MOST_SECTIONS])}."
        elif not names:
            hint = "There is nothing to set here; remove it."
        return f'unknown key "{key}"', hint


def _missing(key: str, about: FieldInfo) -> tuple[str, str]:
    """Return message and hint for a required key that a recipe lacks."""
    what = f'the key "{key}" is missing'
    if about.examples:
        return what, f"As in: {key}: {about.examples[0]}"
    return what, f"Add {key}: ..." + (f" ({about.description})" if about.description else "")


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


def explain(errors: Sequence[ErrorDetails], value: Any, place: Place) -> tuple[str, str | None]:
    """Return message and hint for pydantic's `errors`, which are all about the same value."""
    types = [EXPECTED[error["type"]] for error in errors if error["type"] in EXPECTED]
    types += [error["ctx"]["expected"] for error in errors if error["type"] == "expected"]
    choices = [error["ctx"]["expected"] for error in errors if error["type"] == "literal_error"]
    if types and len(types) + len(choices) == len(errors):
        return wrong_type([*types, *(choice.strip("'") for choice in choices)], value, place)
    detail = next(error for error in errors if error["type"] not in EXPECTED)
    context = detail.get("ctx", {})
    if detail["type"] == "mistake":
        return context["what"], context["hint"]
    if detail["type"] in ("literal_error", "enum"):
        names = (quoted or bare for quoted, bare in _CHOICE.findall(context["expected"]))
        choices = [choice for choice in names if choice != "or"]
        what = f"must be {' or '.join(choices)}, got {in_words(value)}"
        return what, did_you_mean(value, choices) if isinstance(value, str) else None
    if detail["type"] in ("value_error", "assertion_error"):
        return str(context.get("error") or detail["msg"]), None
    if message := _MESSAGES.get(detail["type"]):
        count = len(value) if isinstance(value, list | dict) else 0
        shown = _shortened(value) if isinstance(value, str) else value
        return message.format(value=shown, count=count, **context), None
    return detail["msg"][:1].lower() + detail["msg"][1:], None


def wrong_type(types: Sequence[str], value: Any, place: Place) -> tuple[str, str | None]:
    """Return message and hint for a value of the wrong type; `types` names the right types."""
    types = [*dict.fromkeys(types)]
    return f"expected {' or '.join(types)}, got {in_words(value)}", _retype(types, value, place)


def _retype(types: Sequence[str], value: Any, place: Place) -> str | None:
    """Return a hint on how to write the value in one of the `types`, or None."""
    if isinstance(value, str):
        if "true or false" in types and value.lower() in _SWITCHES:
            return f"Write {_SWITCHES[value.lower()]}, without quotes."
        if {"a number", "a whole number"} & {*types}:
            return _number_from_text(value, place)
        return f"Write it in brackets: [{value}]." if "a list" in types else None
    if types == ["a list"] and isinstance(value, dict | None):
        return "Put a - in front, or [ ] around it." if value else "Write []."
    if isinstance(value, float) and "a whole number" in types and value.is_integer():
        return f"Write {int(value)}."
    if "text" in types and isinstance(value, int | float):
        quoted = f'"{place.text}"'
        in_shell = place.source == OVERRIDE  # a shell removes the outer quotes
        return f"Put it in quotes: {shlex.quote(quoted) if in_shell else quoted}."
    if "a list" in types and isinstance(value, int | float):
        return "Write it in brackets, as a list."
    return None


def _number_from_text(text: str, place: Place) -> str | None:
    plain = text.strip().replace("_", "").replace(",", "")
    try:
        number = resolve(plain)
    except ValueError:
        return None
    if not isinstance(number, int | float):
        return None
    if place.variables:
        return "A variable always gives text; give numbers with --set instead."
    return f"Remove the quotes: {plain}" if plain == text else f"Write {plain}, without quotes."


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
