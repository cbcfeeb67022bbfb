"""Make pydantic models of values as written in YAML, and find a model's fields by key path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from latte.interfaces.errors import nearest
from latte.recipe.places import KeyPath, has

ModelT = TypeVar("ModelT", bound=BaseModel)

MESSAGE = "message"
"""Key of the context of errors whose `loc` is a key path, without the names of union members."""


def model_of(
    model: type[ModelT], values: Any, context: object = None, other_keys: Sequence[str] = ()
) -> ModelT:
    """Return `values` as an object of the class `model`; `other_keys` are allowed beside its own.

    Values are checked in pydantic's strict JSON mode, which accepts a list for a tuple and text for
    a path, but not text for a number or `true` for 1. Defaults are filled in before as plain data,
    because this mode refuses Python values such as a `Path`.

    Raises `ValidationError` with key paths of `values` as `loc`. The context of an error has the
    allowed keys as `keys` if the key is unknown, and the field as `field` if the key is missing.
    """
    complete = with_defaults([model], values)
    try:
        return model.model_validate_json(json.dumps(complete), strict=True, context=context)
    except ValidationError as error:
        raise combined(_cleared(error, model, complete, other_keys)) from None


def with_defaults(types: Iterable[Any], values: Any) -> Any:
    """Return plain data, of one of the `types`, in which each absent key has its default.

    Keys stay absent if they are required, or if their model does not validate defaults. Of several
    models, the one with most of the written keys is meant.
    """
    members = types_at(types, ())
    if isinstance(values, list):
        return [with_defaults(types_at(members, (0,)), value) for value in values]
    if not isinstance(values, dict):
        return values
    models = [member for member in members if is_model(member)]
    if models:
        model = max(models, key=lambda model: len({*values} & {*model.model_fields}))
        values = {**_defaults(model), **values}
    return {key: with_defaults(types_at(members, (key,)), value) for key, value in values.items()}


@cache
def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Return the defaults that a model validates as plain data, by key."""
    if not model.model_config.get("validate_default"):
        return {}
    return model.model_construct().model_dump(mode="json", warnings=False)


def combined(errors: Iterable[ErrorDetails]) -> ValidationError:
    """Return one pydantic error with all `errors`, which keep their types and messages."""
    return ValidationError.from_exception_data("recipe", [_again(error) for error in errors])


def _again(error: ErrorDetails) -> InitErrorDetails:
    context = {**error.get("ctx", {}), MESSAGE: error["msg"]}
    copy = PydanticCustomError(error["type"], "{message}", context)
    return InitErrorDetails(type=copy, loc=error["loc"], input=error["input"])


def _cleared(
    errors: ValidationError, model: type[BaseModel], values: Any, other_keys: Sequence[str]
) -> list[ErrorDetails]:
    """Return pydantic's errors with key paths and the context that messages need."""
    cleared = []
    for error in errors.errors(include_url=False):
        context = {**error.get("ctx", {})}
        if MESSAGE not in context:  # else it is cleared already, as an error of a component
            error["loc"] = path = _written_path(error["loc"], model, values)
            names = [*fields_at(model, path[:-1]), *(other_keys if len(path) == 1 else ())]
            context["keys"] = names
            context["field"] = fields_at(model, path[:-1]).get(str(path[-1])) if path else None
            error["ctx"] = context
        cleared.append(error)
    unknown = [detail for detail in cleared if detail["type"] == "extra_forbidden"]
    return [detail for detail in cleared if not _is_misspelt(detail, unknown)]


def _is_misspelt(error: ErrorDetails, unknown: Iterable[ErrorDetails]) -> bool:
    """Return True if a required key is probably missing because it is one of the unknown keys."""
    above, key = error["loc"][:-1], error["loc"][-1:]
    return error["type"] == "missing" and any(
        unknown_key["loc"][:-1] == above
        and (nearest(str(unknown_key["loc"][-1]), unknown_key["ctx"]["keys"]),) == key
        for unknown_key in unknown
    )


def _written_path(loc: KeyPath, model: type[BaseModel], values: Any) -> KeyPath:
    """Return the key path of a pydantic error's `loc`, without the names of union members."""
    path: KeyPath = ()
    for key in loc:
        if has(values, (*path, key)):
            path = (*path, key)
        elif key in fields_at(model, path):
            return (*path, key)
    return path


def fields_at(model: type[BaseModel], path: KeyPath) -> dict[str, FieldInfo]:
    """Return the fields of the models that the value at `path` inside `model` may be, by name."""
    models = [part for part in types_at([model], path) if is_model(part)]
    return {name: about for part in models for name, about in part.model_fields.items()}


def types_at(types: Iterable[Any], path: KeyPath) -> list[Any]:
    """Return the types, and the metadata of types, at `path` inside a value of one of `types`."""
    members = [member for member_type in types for member in _members(member_type)]
    if not path:
        return members
    return types_at(
        [below for member_type in members for below in _below(member_type, path[0])], path[1:]
    )


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the pydantic model classes in a type annotation such as `list[Model] | None`."""
    if is_model(annotation):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def is_model(annotation: Any) -> bool:
    """Return True for a pydantic model class."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, and the type and the metadata of `Annotated`."""
    if get_origin(annotation) in (Annotated, Union, UnionType):
        for argument in get_args(annotation):
            yield from _members(argument)
    else:
        yield annotation


def _below(annotation: Any, key: str | int) -> Iterator[Any]:
    """Yield the types of the value at `key` of a model, a mapping or a list."""
    if is_model(annotation):
        if about := annotation.model_fields.get(key):
            yield from (about.annotation, *about.metadata)
        return
    origin = get_origin(annotation)
    collections = (list, tuple, set, frozenset) if isinstance(key, int) else Mapping
    if isinstance(origin, type) and issubclass(origin, collections):
        yield from get_args(annotation)
