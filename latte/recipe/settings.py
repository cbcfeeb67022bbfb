"""Validate settings and options by their pydantic models; report every mistake with its line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar, get_args

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from latte.interfaces import LatteError, Options
from latte.interfaces.errors import nearest, suggestion
from latte.interfaces.settings import EvaluateSettings, TrainSettings
from latte.recipe.layout import KEYS
from latte.recipe.mistakes import EXPECTED, Mistakes, explain, wrong_type
from latte.recipe.node import KeyPath, Node, deepest, dotted, find
from latte.recipe.variables import with_shell_paths

ModelT = TypeVar("ModelT", bound=Options)

_MOST_PLACES = 3
_DEEPEST = 6
"""Largest depth to which nested models are searched, because a model may contain itself."""


@dataclass
class Validator:
    """Validates parts of a recipe by pydantic models, and collects the mistakes."""

    mistakes: Mistakes
    sections: Sections

    def validated(
        self, model: type[ModelT], node: Node, path: KeyPath, reserved: Iterable[str] = ()
    ) -> ModelT | None:
        """Return `node` as an object of the class `model`; None if mistakes were reported.

        `reserved` keys, such as `use`, are allowed beside the keys of `model`.
        """
        if not isinstance(node.value, dict):
            self._report(*wrong_type([EXPECTED["model_type"]], node), node, path)
            return None
        values = with_shell_paths(node, model).plain()
        try:
            errors = _errors_in_values(model, values, node)
            if not errors:
                return model.model_validate(values)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        except LatteError as error:
            self.mistakes.add(node.origin, path, error.what, error.hint)
            return None
        groups = _by_place(errors, model, node)
        for place, group in groups.items():
            if not _is_misspelt_elsewhere(place, group, model, groups):
                self._report_group(model, group, node, path, place, [*reserved])
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
            fields = [one.model_fields.get(str(place[-1])) for one in models_at(model, place[:-1])]
            meaning = next((one.description for one in fields if one and one.description), "")
            what = f'the key "{place[-1]}" is missing'
            hint = f"Add {place[-1]}: ..." + (f" ({meaning})" if meaning else "")
        else:
            what, hint = f"its default is refused: {errors[0]['msg']}", "Give a value here."
        self._report(what, hint, node, (*path, *place))

    def _report(self, what: str, hint: str | None, node: Node, path: KeyPath) -> None:
        if not node.broken:
            self.mistakes.add(node.origin, path, what, hint)


def _errors_in_values(model: type[Options], values: Any, node: Node) -> list[ErrorDetails]:
    """Return the errors that pydantic finds in `values` in its strict JSON mode.

    This mode accepts a list for a tuple and text for a path, but not text for a number or `true`
    for 1. Errors in defaults are ignored: defaults are Python values, which this mode refuses.
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
    """Return the key path of a pydantic error, without the names of union members."""
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
    """Group errors by key path, because pydantic reports one error per member of a union.

    If one member reports a wrong type for a value, and another member reports an error deeper
    inside this value, only the deeper error is kept.
    """
    groups: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        groups.setdefault(_place(error, model, root), []).append(error)
    wrong_types = {
        place
        for place, group in groups.items()
        if all(error["type"] in EXPECTED for error in group)
        and any(other != place and other[: len(place)] == place for other in groups)
    }
    return {place: group for place, group in groups.items() if place not in wrong_types}


def _is_misspelt_elsewhere(
    place: KeyPath, errors: list[ErrorDetails], model: type[Options], places: Iterable[KeyPath]
) -> bool:
    """Return True if the required key at `place` is probably missing because it is misspelt.

    If so, only the misspelt key is reported.
    """
    if not any(error["type"] == "missing" for error in errors):
        return False
    names = field_names(model, place[:-1])
    siblings = [str(other[-1]) for other in places if other and other[:-1] == place[:-1]]
    return any(nearest(key, names) == place[-1] for key in siblings if key not in names)


class Sections:
    """All known keys and the sections to which they belong, for hints about misplaced keys."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {key: [""] for key in (*KEYS, "extends")}
        self.add(("train",), TrainSettings)
        self.add(("evaluate",), EvaluateSettings)

    def add(self, place: KeyPath, model: type[BaseModel]) -> None:
        """Add the keys of the section `place` (the fields of `model`) and of its sub-sections."""
        for name, field in model.model_fields.items():
            places = self._places.setdefault(name, [])
            if dotted(place) not in places:
                places.append(dotted(place))
            if len(place) < _DEEPEST:
                for nested in models_in(field.annotation):
                    self.add((*place, name), nested)

    def unknown_key(self, key: str, names: Sequence[str]) -> tuple[str, str]:
        """Return message and hint for an unknown `key` in a mapping that allows only `names`."""
        hint = suggestion(key, names, "All keys here")
        if key == "<<":
            hint = "YAML 1.2 has no merge keys. Repeat the values, or extend another recipe."
        elif places := self._places.get(key):
            homes = [place or "the top of the recipe" for place in places[:_MOST_PLACES]]
            hint = f"It belongs to {' or '.join(homes)}."
        elif not names:
            hint = "There is nothing to set here; remove it."
        return f'unknown key "{key}"', hint


def field_names(model: type[BaseModel], place: KeyPath) -> list[str]:
    """Return the keys allowed at the key path `place` inside `model`."""
    return [*dict.fromkeys(name for one in models_at(model, place) for name in one.model_fields)]


def models_at(model: type[BaseModel], place: KeyPath) -> list[type[BaseModel]]:
    """Return the model classes at the key path `place` inside `model`."""
    models = [model]
    for key in place:
        if isinstance(key, str):
            fields = [one.model_fields[key] for one in models if key in one.model_fields]
            models = [found for field in fields for found in models_in(field.annotation)]
    return models


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the pydantic model classes in a type annotation such as `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def check_requirement(text: str) -> None:
    """Raise `LatteError` if a requirement such as `latte-tiny>=0.1` is invalid or not met."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    if requirement is None or requirement.url:
        raise LatteError(
            f'"{text}" is not a package with a range of versions',
            hint='As in: requires: ["latte-tiny>=0.1,<1"]',
        )
    if requirement.marker and not requirement.marker.evaluate():
        return
    install = f'pip install "{requirement.name}{requirement.specifier}"'
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        raise LatteError(
            f"this recipe needs {requirement.name}, which is not installed", hint=install
        ) from None
    if not requirement.specifier.contains(installed, prereleases=True):
        raise LatteError(
            f"this recipe needs {requirement.name} {requirement.specifier}, "
            f"and {installed} is installed",
            hint=install,
        )
