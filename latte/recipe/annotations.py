"""Which keys a model allows at which place, read from its annotations."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from latte.recipe.node import KeyPath


def field_names(model: type[BaseModel], place: KeyPath) -> list[str]:
    """The keys that may stand at `place` below a `model`."""
    return [*dict.fromkeys(name for one in models_at(model, place) for name in one.model_fields)]


def field_description(model: type[BaseModel], place: KeyPath) -> str:
    """What the key at the end of `place` means; empty where nobody wrote it down."""
    fields = [one.model_fields.get(str(place[-1])) for one in models_at(model, place[:-1])]
    return next((field.description for field in fields if field and field.description), "")


def models_at(model: type[BaseModel], place: KeyPath) -> list[type[BaseModel]]:
    """The models that may stand at `place` below a `model`."""
    models = [model]
    for key in place:
        if isinstance(key, str):
            fields = [one.model_fields[key] for one in models if key in one.model_fields]
            models = [found for field in fields for found in models_in(field.annotation)]
    return models


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation such as `list[Model] | None` allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]
