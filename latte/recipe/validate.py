"""Step 4 of loading a recipe: validate each value, with defaults for the keys that are absent.

Comes in: the merged documents of a recipe and its controls. Goes out: their keys as typed values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from latte.interfaces import LatteError
from latte.interfaces.settings import EvaluateSettings, TrainSettings
from latte.io.paths import ascii_name
from latte.recipe.errors import Check, Mistakes
from latte.recipe.fields import model_of, models_in
from latte.recipe.merge import Merged
from latte.recipe.model import TOP_KEYS, RecipeKeys, component_paths
from latte.recipe.places import SHORT, KeyPath, dotted, shown_path, value_at
from latte.recipe.variables import with_shell_paths
from latte.registry.registry import Registry
from latte.registry.spec import NAME

_DEEPEST = 6
"""Largest depth to which nested models are searched, because a model may contain itself."""


def validated(
    documents: Merged, registry: Registry, path: Path, mistakes: Mistakes
) -> dict[KeyPath, RecipeKeys]:
    """Return the keys of the recipe in the file `path`, and those of its controls.

    Raises `RecipeErrors` with all mistakes so far, unless the merged recipe lacks their values.
    """
    mistakes.forget_replaced(documents.whole)
    variants = {}
    for prefix, document in documents.variants.items():
        check = Check(document, registry, prefix, mistakes, _homes)
        data = {**with_shell_paths(document, registry)}
        data[NAME] = data.get(NAME) or _default_name(path)
        try:
            variants[prefix] = model_of(RecipeKeys, data, registry, (*SHORT, "controls", "extends"))
        except ValidationError as error:
            check.report(error)
    mistakes.raise_if_any()
    return variants


def _default_name(path: Path) -> str:
    """Return the name of a run of the recipe `path`; it is part of the name of the run's folder."""
    return ascii_name(path.stem) or "recipe"


def _homes(check: Check) -> Mapping[str, Sequence[str]]:
    """Return the sections of the recipe to which each key belongs."""
    homes = {key: ["the top of the recipe"] for key in TOP_KEYS}
    sections: list[tuple[KeyPath, type[BaseModel]]] = [
        (("train",), TrainSettings),
        (("evaluate",), EvaluateSettings),
    ]
    for path, component in component_paths(check.document.data):
        with suppress(LatteError):
            value = value_at(check.document.data, path)
            sections.append((path, component.found(value, check.registry)[1]))
    for path, model in sections:
        for section, key in _keys_below(model, shown_path(check.document, path)):
            homes.setdefault(key, []).append(section)
    return homes


def _keys_below(model: type[BaseModel], section: KeyPath) -> Iterator[tuple[str, str]]:
    """Yield the keys at and below `section`, a `model`, each with its section."""
    for name, about in model.model_fields.items():
        yield dotted(section), name
        for below in models_in(about.annotation) if len(section) < _DEEPEST else ():
            yield from _keys_below(below, (*section, name))
