"""Validates settings and options: every mistake in a mapping, at its line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from latte.interfaces import LatteError, Options
from latte.interfaces.errors import nearest
from latte.recipe.layout import Sections, field_description, field_names
from latte.recipe.mistakes import EXPECTED, Mistakes, explain, wrong_type
from latte.recipe.node import KeyPath, Node, deepest, find
from latte.recipe.variables import with_shell_paths

ModelT = TypeVar("ModelT", bound=Options)


@dataclass
class Validator:
    """Turns nodes into models and collects what is wrong with them."""

    mistakes: Mistakes
    sections: Sections

    def validated(
        self, model: type[ModelT], node: Node, path: KeyPath, reserved: Iterable[str] = ()
    ) -> ModelT | None:
        """`node`, which stands at `path`, as a `model`; None after reporting what is wrong.

        `reserved` are keys that belong beside the model's own.
        """
        if not isinstance(node.value, dict):
            self._report(*wrong_type([EXPECTED["model_type"]], node), node, path)
            return None
        try:
            return self._read(model, node, path, [*reserved])
        except LatteError as error:
            self.mistakes.add(node.origin, path, error.what, error.hint)
        return None

    def _read(
        self, model: type[ModelT], node: Node, path: KeyPath, reserved: list[str]
    ) -> ModelT | None:
        values = with_shell_paths(node, model).plain()
        errors = _errors_in_values(model, values, node)
        if not errors:
            try:
                return model.model_validate(values)
            except ValidationError as error:
                errors = error.errors(include_url=False)
        groups = _by_place(errors, model, node)
        for place, group in groups.items():
            if not _is_misspelt_elsewhere(place, group, model, groups):
                self._report_group(model, group, node, path, place, reserved)
        return None

    def _report_group(
        self,
        model: type[Options],
        errors: list[ErrorDetails],
        root: Node,
        path: KeyPath,
        place: KeyPath,
        reserved: list[str],
    ) -> None:
        node = deepest(root, place)
        types = {error["type"] for error in errors}
        hint: str | None
        if "extra_forbidden" in types:
            names = field_names(model, place[:-1]) + (reserved if len(place) == 1 else [])
            what, hint = self.sections.unknown_key(str(place[-1]), names)
        elif find(root, place) is not None:
            what, hint = explain(errors, node)
        elif "missing" in types:
            what, hint = _missing(model, place)
        else:
            what, hint = f"its default is refused: {errors[0]['msg']}", "Give a value here."
        self._report(what, hint, node, (*path, *place))

    def _report(self, what: str, hint: str | None, node: Node, path: KeyPath) -> None:
        if not node.broken:
            self.mistakes.add(node.origin, path, what, hint)


def _errors_in_values(model: type[Options], values: Any, node: Node) -> list[ErrorDetails]:
    """What is wrong with the given values, by JSON's strict rules.

    Lists may become tuples and text a path, but text is no number and `true` is not 1. A model's
    own defaults are Python values that these rules would refuse, so they are left out here.
    """
    try:
        model.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        return [
            one
            for one in error.errors(include_url=False)
            if one["type"] == "missing" or find(node, _place(one, model, node)) is not None
        ]
    return []


def _place(error: ErrorDetails, model: type[Options], root: Node) -> KeyPath:
    """Where an error is. Its location also names members of unions, which are left out."""
    place: KeyPath = ()
    for key in error["loc"]:
        if find(root, (*place, key)) is not None:
            place = (*place, key)
        elif isinstance(key, str) and key in field_names(model, place):
            return (*place, key)
    return place


def _by_place(
    errors: list[ErrorDetails], model: type[Options], root: Node
) -> dict[KeyPath, list[ErrorDetails]]:
    """Errors that belong together: a union reports one for each of its members.

    Where one member found something to complain about further down, only that is kept.
    """
    groups: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        groups.setdefault(_place(error, model, root), []).append(error)
    return {
        place: group
        for place, group in groups.items()
        if not (_is_wrong_type(group) and _is_above_another(place, groups))
    }


def _is_misspelt_elsewhere(
    place: KeyPath, errors: list[ErrorDetails], model: type[Options], places: Iterable[KeyPath]
) -> bool:
    """Whether a missing key stands beside an unknown one that was meant to be it."""
    if not any(error["type"] == "missing" for error in errors):
        return False
    names = field_names(model, place[:-1])
    siblings = [str(other[-1]) for other in places if other and other[:-1] == place[:-1]]
    return any(nearest(key, names) == place[-1] for key in siblings if key not in names)


def _is_wrong_type(errors: list[ErrorDetails]) -> bool:
    return all(error["type"] in EXPECTED for error in errors)


def _is_above_another(place: KeyPath, places: Iterable[KeyPath]) -> bool:
    return any(len(other) > len(place) and other[: len(place)] == place for other in places)


def _missing(model: type[Options], place: KeyPath) -> tuple[str, str]:
    key, meaning = place[-1], field_description(model, place)
    return f'the key "{key}" is missing', f"Add {key}: ..." + (f" ({meaning})" if meaning else "")
