"""A component's options as people read them: name, type in plain words, default, help."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from latte.interfaces import Options

_WORDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    type(None): "none",
    Any: "anything",
}
_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of"}


@dataclass(frozen=True)
class OptionRow:
    """One option. Options inside options have dotted names."""

    name: str
    type: str
    default: Any
    """As plain data; None also where the option is `required`."""
    required: bool
    help: str


def option_rows(
    model: type[Options], prefix: str = "", given: Mapping[str, Any] | None = None
) -> Iterator[OptionRow]:
    """The options of `model` in the order of its fields, nested ones after their parent.

    `given` are values that a parent's default sets in place of the model's own defaults.
    """
    defaults = {**_defaults(model), **(given or {})}
    for name, field in model.model_fields.items():
        default = defaults.get(name)
        yield OptionRow(
            name=prefix + name,
            type=type_in_words(field.annotation, field.metadata),
            default=default,
            required=name not in defaults and field.is_required(),
            help=field.description or "",
        )
        for nested in _nested(field):
            inner = default if isinstance(default, Mapping) else None
            yield from option_rows(nested, f"{prefix}{name}.", inner)


def default_in_words(row: OptionRow) -> str:
    """`required`, or the default as a recipe would write it."""
    if row.required:
        return "required"
    if row.default is None:
        return "none"
    if isinstance(row.default, bool):
        return str(row.default).lower()
    if isinstance(row.default, Mapping):
        return "see below" if row.default else "none"
    if isinstance(row.default, Sequence) and not isinstance(row.default, str):
        return f"[{', '.join(map(str, row.default))}]"
    return str(row.default)


def type_in_words(annotation: Any, metadata: Sequence[object] = ()) -> str:
    """A type as a recipe's author would name it, such as `whole number > 0`."""
    limits = [
        f" {sign} {getattr(limit, key)}"
        for limit in metadata
        for key, sign in _LIMITS.items()
        if getattr(limit, key, None) is not None
    ]
    return _words(annotation) + ",".join(limits)


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *metadata = arguments
        return type_in_words(inner, [one for item in metadata for one in _flat(item)])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(map(_words, arguments))
    if origin is tuple and Ellipsis not in arguments:
        kinds = list(dict.fromkeys(map(_words, arguments)))
        return f"list of {len(arguments)}: {', '.join(kinds)}"
    if origin is not None and issubclass(origin, Mapping):
        return f"mapping of {' to '.join(map(_words, arguments))}"
    if arguments:
        return f"list of {_words(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return "options"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _flat(item: object) -> Sequence[object]:
    """`Field(ge=0)` inside `Annotated` holds its limits in a list of its own."""
    return item.metadata if isinstance(item, FieldInfo) else (item,)


def _nested(field: FieldInfo) -> list[type[Options]]:
    choices = (field.annotation, *get_args(field.annotation))
    return [one for one in choices if isinstance(one, type) and issubclass(one, Options)]


def _defaults(model: type[Options]) -> dict[str, Any]:
    """Defaults by field name as plain data; without required and computed ones."""
    values = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not (field.is_required() or field.default_factory_takes_validated_data)
    }
    return model.model_construct(**values).model_dump(mode="json", include=set(values))
