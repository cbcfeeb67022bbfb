"""Validate values as written in YAML by pydantic models, and find a model's fields by key path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

KeyPath: TypeAlias = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


def validated(model: type[ModelT], values: Any, context: object = None) -> ModelT:
    """Return `values` as an object of the class `model`. Raises `ValidationError`.

    Values are checked in pydantic's strict JSON mode, which accepts a list for a tuple and text for
    a path, but not text for a number or `true` for 1. Errors in defaults are ignored there:
    defaults are Python values, which this mode refuses.
    """
    try:
        return model.model_validate_json(json.dumps(values), strict=True, context=context)
    except ValidationError as error:
        errors = [one for one in error.errors(include_url=False) if _is_written(one, model, values)]
        if errors:
            raise combined(errors) from None
    return model.model_validate(values, context=context)


def combined(errors: Iterable[ErrorDetails]) -> ValidationError:
    """Return one pydantic error with all `errors`."""
    return ValidationError.from_exception_data("recipe", [_again(error) for error in errors])


def written_path(loc: KeyPath, model: type[BaseModel], values: Any) -> KeyPath:
    """Return the key path of a pydantic error's `loc`, without the names of union members."""
    path: KeyPath = ()
    for key in loc:
        if has(values, (*path, key)):
            path = (*path, key)
        elif isinstance(key, str) and key in field_names(model, path):
            return (*path, key)
    return path


def field_names(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys allowed at the key path `path` inside `model`."""
    return [*dict.fromkeys(name for one in models_at(model, path) for name in one.model_fields)]


def models_at(model: type[BaseModel], path: KeyPath) -> list[type[BaseModel]]:
    """Return the model classes at the key path `path` inside `model`."""
    models = [model]
    for key in path:
        if isinstance(key, str):
            fields = [one.model_fields[key] for one in models if key in one.model_fields]
            models = [below for field in fields for below in models_in(field.annotation)]
    return models


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the pydantic model classes in a type annotation such as `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def has(values: Any, path: KeyPath) -> bool:
    """Return True if plain data have a value at the key path `path`, which may be null."""
    return not path or (_has_key(values, path[0]) and has(values[path[0]], path[1:]))


def value_at(values: Any, path: KeyPath) -> Any:
    """Return the value of plain data at the key path `path`; None if there is none."""
    for key in path:
        if not _has_key(values, key):
            return None
        values = values[key]
    return values


def with_value(values: Any, path: KeyPath, value: Any) -> Any:
    """Return a copy of plain data in which the value at the key path `path` is `value`."""
    if not path:
        return value
    key, below = path[0], path[1:]
    if isinstance(values, list):
        return [
            with_value(one, below, value) if at == key else one for at, one in enumerate(values)
        ]
    return {**(values or {}), key: with_value(value_at(values, (key,)), below, value)}


def _has_key(values: Any, key: str | int) -> bool:
    if isinstance(values, Mapping):
        return key in values
    return isinstance(values, list) and isinstance(key, int) and 0 <= key < len(values)


def _is_written(error: ErrorDetails, model: type[BaseModel], values: Any) -> bool:
    return error["type"] == "missing" or has(values, written_path(error["loc"], model, values))


def _again(error: ErrorDetails) -> InitErrorDetails:
    """Return the error for another `ValidationError`, with the same type, message and context."""
    context = {**error.get("ctx", {}), "message": error["msg"]}
    again = PydanticCustomError(error["type"], "{message}", context)
    return InitErrorDetails(type=again, loc=error["loc"], input=error["input"])
