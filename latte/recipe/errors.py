"""Collect all mistakes of a recipe, and put pydantic's errors into plain words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from latte.interfaces import LatteError, RecipeErrors
from latte.interfaces.errors import did_you_mean, nearest, suggestion
from latte.recipe.component import Component
from latte.recipe.fields import KeyPath, has, models_at, models_in, value_at, written_path
from latte.recipe.model import SHORT, Recipe, component_at, component_paths, item_names
from latte.recipe.places import OVERRIDE, Document, Place, dotted
from latte.recipe.syntax import resolve
from latte.registry.registry import Registry
from latte.registry.spec import reserved_keys

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
_DEEPEST = 6
"""Largest depth to which nested models are searched, because a model may contain itself."""


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

    def adopt(self, others: Mistakes) -> None:
        """Add the mistakes of a control (variant of the recipe), unless the recipe has them too."""
        known = {(mistake.path, mistake.error.what) for mistake in self.found}
        self.found += [
            mistake for mistake in others.found if (mistake.path, mistake.error.what) not in known
        ]

    def forget_replaced(self, document: Document) -> None:
        """Drop the mistakes in values that the merged recipe `document` does not contain."""
        present = {*document.places.values()}
        self.found = [one for one in self.found if not one.place.is_broken or one.place in present]

    def raise_if_any(self) -> None:
        """Raise `RecipeErrors` if there are mistakes, sorted by file and line; `--set` is last."""

        def order(mistake: Mistake) -> tuple[bool, str, int, int]:
            place = mistake.place
            return (place.line is None, place.source, place.line or 0, place.column)

        if self.found:
            raise RecipeErrors([mistake.error for mistake in sorted(self.found, key=order)])


@dataclass
class Check:
    """One check of a document by a pydantic model: a recipe, a control, or another YAML file."""

    document: Document
    model: type[BaseModel]
    registry: Registry = field(default_factory=lambda: Registry([]))
    prefix: KeyPath = ()
    """Prefix of every key path in messages: `("controls", NAME)` for a control."""
    mistakes: Mistakes = field(default_factory=Mistakes)
    wrong: set[KeyPath] = field(default_factory=set)
    """Key paths of values that pydantic refuses."""

    @property
    def is_control(self) -> bool:
        """True if the document is a control of a recipe, merged over the recipe."""
        return bool(self.prefix)

    def add(self, path: KeyPath, what: str, hint: str | None = None) -> None:
        """Report a mistake at `path`, unless one was reported while the value was read.

        If the document lacks `path`, the message has the line of the nearest existing ancestor.
        """
        place = self.document.nearest(path)
        if not place.is_broken:
            shown = (*self.prefix, *shown_path(self.document, path))
            self.mistakes.add(place, path, what, hint, shown)

    def is_wrong(self, key: str) -> bool:
        """Return True if pydantic refuses a value below the top-level `key`."""
        return any(path[:1] == (key,) for path in self.wrong)

    def has_mistakes(self) -> bool:
        """Return True if any mistake was reported."""
        return bool(self.mistakes.found)

    def report(self, errors: Iterable[ErrorDetails]) -> None:
        """Report pydantic's errors, one mistake for all errors about the same value."""
        groups = self._by_path(errors)
        self.wrong |= {*groups}
        for path, group in groups.items():
            if not self._is_misspelt_elsewhere(path, group, groups):
                self.add(path, *self._words(path, group))

    def _by_path(self, errors: Iterable[ErrorDetails]) -> dict[KeyPath, list[ErrorDetails]]:
        """Group errors by key path, because pydantic reports one error per member of a union.

        If one member reports a wrong type for a value, and another member reports an error deeper
        inside this value, only the deeper error is kept.
        """
        groups: dict[KeyPath, list[ErrorDetails]] = {}
        for error in errors:
            groups.setdefault(self._path(error["loc"]), []).append(error)
        wrong_types = {
            path
            for path, group in groups.items()
            if all(error["type"] in EXPECTED for error in group)
            and any(other != path and other[: len(path)] == path for other in groups)
        }
        return {path: group for path, group in groups.items() if path not in wrong_types}

    def _path(self, loc: KeyPath) -> KeyPath:
        """Return the key path of a pydantic error, without the names of union members."""
        data = self.document.data
        for end in range(len(loc), 0, -1):
            head, rest = loc[:end], loc[end:]
            if component := self._component(head):
                if rest and rest[0] in reserved_keys(component.kind):
                    return (*head, rest[0])
                models = self._models_at(head)
                return (
                    (*head, *written_path(rest, models[0], value_at(data, head)))
                    if models
                    else head
                )
        return written_path(loc, self.model, data)

    def _component(self, path: KeyPath) -> Component | None:
        return component_at(path) if self.model is Recipe else None

    def _models_at(self, path: KeyPath) -> list[type[BaseModel]]:
        """Return the model classes at `path`; for a component, the class of its options."""
        for end in range(len(path), 0, -1):
            if component := self._component(path[:end]):
                value = value_at(self.document.data, path[:end])
                try:
                    _, options = component.found(value, self.registry)
                except LatteError:
                    return []
                return models_at(options, path[end:])
        return models_at(self.model, path)

    def _keys_at(self, path: KeyPath) -> list[str]:
        """Return the keys that the mapping at `path` may have."""
        names = [*dict.fromkeys(name for one in self._models_at(path) for name in one.model_fields)]
        if component := self._component(path):
            return [*names, *reserved_keys(component.kind)]
        return [*names, *SHORT, "extends"] if self.model is Recipe and not path else names

    def _is_misspelt_elsewhere(
        self, path: KeyPath, errors: Sequence[ErrorDetails], paths: Iterable[KeyPath]
    ) -> bool:
        """Return True if the required key at `path` is probably missing because it is misspelt.

        If so, only the misspelt key is reported.
        """
        if not any(error["type"] == "missing" for error in errors):
            return False
        names = self._keys_at(path[:-1])
        siblings = [str(other[-1]) for other in paths if other and other[:-1] == path[:-1]]
        return any(nearest(key, names) == path[-1] for key in siblings if key not in names)

    def _words(self, path: KeyPath, errors: Sequence[ErrorDetails]) -> tuple[str, str | None]:
        """Return message and hint for pydantic's `errors` about the value at `path`."""
        types = {error["type"] for error in errors}
        key = str(path[-1]) if path else ""
        models = self._models_at(path[:-1])
        fields = [one.model_fields[key] for one in models if key in one.model_fields]
        if "extra_forbidden" in types:
            return self._unknown_key(key, self._keys_at(path[:-1]))
        if "no_component" in types and not any(one.is_required() for one in fields):
            return "names no component", "Remove the key for the default."
        if types & {"missing", "no_component"} and value_at(self.document.data, path) is None:
            return _missing(key, fields)
        if has(self.document.data, path) or "mistake" in types:
            return explain(errors, value_at(self.document.data, path), self.document.nearest(path))
        return f"its default is refused: {errors[0]['msg']}", "Give a value here."

    def _unknown_key(self, key: str, names: Sequence[str]) -> tuple[str, str]:
        """Return message and hint for an unknown `key` in a mapping that allows only `names`."""
        hint = suggestion(key, names, "All keys here")
        if key == "<<":
            hint = "YAML 1.2 has no merge keys. Repeat the values, or extend another recipe."
        elif homes := self._homes(key):
            hint = f"It belongs to {' or '.join(homes[:_MOST_SECTIONS])}."
        elif not names:
            hint = "There is nothing to set here; remove it."
        return f'unknown key "{key}"', hint

    def _homes(self, key: str) -> list[str]:
        """Return the sections of this recipe to which `key` belongs."""
        if self.model is not Recipe:
            return []
        homes = ["the top of the recipe"] if key in self._keys_at(()) else []
        sections: list[KeyPath] = [("train",), ("evaluate",)]
        for section in [*sections, *(path for path, _ in component_paths(self.document.data))]:
            for model in self._models_at(section):
                homes += _sections_with(key, model, shown_path(self.document, section))
        return [*dict.fromkeys(homes)]


def shown_path(document: Document, path: KeyPath) -> KeyPath:
    """Return a key path as the user wrote it, with names of list items in place of indices."""
    named: list[str | int] = []
    for at, key in enumerate(path):
        names = item_names(value_at(document.data, path[:at])) if isinstance(key, int) else []
        name = names[key] if isinstance(key, int) and key < len(names) else None
        is_clear = name and "." not in name and names.count(name) == 1
        named.append(name if name and is_clear else key)
    for key, full in SHORT.items():
        item = document.places.get(full[:2])
        if path[: len(full)] == full and (item is None or item.is_short):
            return (key, *named[len(full) :])
    return tuple(named)


def _sections_with(key: str, model: type[BaseModel], section: KeyPath) -> Iterable[str]:
    """Yield the sections at and below `section`, a `model`, that have the key `key`."""
    if key in model.model_fields:
        yield dotted(section)
    for name, about in model.model_fields.items():
        for below in models_in(about.annotation) if len(section) < _DEEPEST else ():
            yield from _sections_with(key, below, (*section, name))


def _missing(key: str, fields: Sequence[FieldInfo]) -> tuple[str, str]:
    """Return message and hint for a required key that a recipe lacks."""
    what = f'the key "{key}" is missing'
    examples = [example for one in fields for example in one.examples or ()]
    if examples:
        return what, f"As in: {key}: {examples[0]}"
    meaning = next((one.description for one in fields if one.description), "")
    return what, f"Add {key}: ..." + (f" ({meaning})" if meaning else "")


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
    wanted = [EXPECTED[error["type"]] for error in errors if error["type"] in EXPECTED]
    wanted += [error["ctx"]["expected"] for error in errors if error["type"] == "expected"]
    choices = [error["ctx"]["expected"] for error in errors if error["type"] == "literal_error"]
    if wanted and len(wanted) + len(choices) == len(errors):
        return wrong_type([*wanted, *(choice.strip("'") for choice in choices)], value, place)
    first = next(error for error in errors if error["type"] not in EXPECTED)
    context = first.get("ctx", {})
    if first["type"] == "mistake":
        return context["what"], context["hint"]
    if first["type"] in ("literal_error", "enum"):
        names = (quoted or bare for quoted, bare in _CHOICE.findall(context["expected"]))
        choices = [choice for choice in names if choice != "or"]
        what = f"must be {' or '.join(choices)}, got {in_words(value)}"
        return what, did_you_mean(value, choices) if isinstance(value, str) else None
    if first["type"] in ("value_error", "assertion_error"):
        return str(context.get("error") or first["msg"]), None
    if message := _MESSAGES.get(first["type"]):
        count = len(value) if isinstance(value, list | dict) else 0
        shown = _shortened(value) if isinstance(value, str) else value
        return message.format(value=shown, count=count, **context), None
    return first["msg"][:1].lower() + first["msg"][1:], None


def wrong_type(wanted: Sequence[str], value: Any, place: Place) -> tuple[str, str | None]:
    """Return message and hint for a value of the wrong type; `wanted` names the right types."""
    types = [*dict.fromkeys(wanted)]
    return f"expected {' or '.join(types)}, got {in_words(value)}", _retype(types, value, place)


def _retype(wanted: Sequence[str], value: Any, place: Place) -> str | None:
    """Return a hint on how to write the value in a wanted type, or None."""
    if isinstance(value, str):
        if "true or false" in wanted and value.lower() in _SWITCHES:
            return f"Write {_SWITCHES[value.lower()]}, without quotes."
        if {"a number", "a whole number"} & {*wanted}:
            return _number_from_text(value, place)
        return f"Write it in brackets: [{value}]." if "a list" in wanted else None
    if wanted == ["a list"] and isinstance(value, dict | None):
        return "Put a - in front, or [ ] around it." if value else "Write []."
    if isinstance(value, float) and "a whole number" in wanted and value.is_integer():
        return f"Write {int(value)}."
    if "text" in wanted and isinstance(value, int | float):
        quoted = f'"{place.text}"'
        in_shell = place.source == OVERRIDE  # a shell removes the outer quotes
        return f"Put it in quotes: {shlex.quote(quoted) if in_shell else quoted}."
    if "a list" in wanted and isinstance(value, int | float):
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
