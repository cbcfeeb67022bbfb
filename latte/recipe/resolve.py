"""Step 6 of loading a recipe: what it means in full, and the origin of each value.

Comes in: the valid keys of a recipe and its controls, and the merged documents. Goes out: the
`Recipe`, with all values and defaults as plain data that can be loaded as a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from latte.interfaces.settings import BRING_WEIGHTS
from latte.recipe.merge import Merged
from latte.recipe.model import BACKBONE, Recipe, RecipeKeys, component_name
from latte.recipe.places import DEFAULT, ENCODERS, Document, KeyPath, dotted, paths
from latte.recipe.variables import Written
from latte.registry.registry import Registry
from latte.registry.spec import USE


def resolved(
    variants: Mapping[KeyPath, RecipeKeys], documents: Merged, registry: Registry, path: Path
) -> Recipe:
    """Return the recipe in the file `path` with its controls."""
    recipes = {
        prefix: _recipe(keys, documents.variants[prefix], registry, path)
        for prefix, keys in variants.items()
    }
    recipe = recipes.pop(())
    controls = {str(name): control for (_, name), control in recipes.items()}
    facts: dict[str, Any] = {"bases": documents.bases, "controls": controls}
    if controls:
        changes = {name: documents.whole.below(("controls", name)) for name in controls}
        written = {
            name: _without_secrets(_with_unique_names(change.data, registry), change)
            for name, change in changes.items()
        }
        plain = {**recipe.resolved, "controls": written}
        facts |= {"resolved": plain, "origins": _origins(plain, documents.whole)}
    return recipe.model_copy(update=facts)


def _recipe(keys: RecipeKeys, document: Document, registry: Registry, path: Path) -> Recipe:
    """Return the recipe or control with these `keys`."""
    keys = _without_default_tag(_without_default_describer(keys), document)
    plain = keys.model_dump(mode="json", context=registry)
    if not keys.encoders:  # the ID of a run without encoders must not depend on this key
        del plain[ENCODERS]
    plain = _without_secrets(plain, document)
    origins = _origins(plain, document)
    return Recipe.model_construct(**dict(keys), path=path, resolved=plain, origins=origins)


def _without_default_describer(keys: RecipeKeys) -> RecipeKeys:
    """Leave out `by` where it names the first describer: both mean the same run."""
    default = keys.describers[0].label if keys.describers else None
    descriptions = [
        replace(description, by=None) if description.by == default else description
        for description in keys.descriptions
    ]
    return keys.model_copy(update={"descriptions": tuple(descriptions)})


def _without_default_tag(keys: RecipeKeys, document: Document) -> RecipeKeys:
    """Leave out `pretrained` if it is only a default and the model brings its own weights.

    In `pretrained: ${NAME:-TAG}`, `TAG` is a default for open_clip's models. A tag that the user
    set is kept, and an error reports it later.
    """
    tag, options = document.places.get((BACKBONE, "pretrained")), keys.backbone.options
    is_default = tag is not None and tag.variables and not tag.filled
    brings_weights = str(getattr(options, "model", "")).startswith(BRING_WEIGHTS)
    if not (is_default and brings_weights):
        return keys
    backbone = replace(keys.backbone, options=options.model_copy(update={"pretrained": None}))
    return keys.model_copy(update={BACKBONE: backbone})


def _with_unique_names(value: Any, registry: Registry, path: KeyPath = ()) -> Any:
    """Return a copy of plain data in which components have their unique names."""
    if isinstance(value, list):
        return [
            _with_unique_names(item, registry, (*path, index)) for index, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    below = {key: _with_unique_names(item, registry, (*path, key)) for key, item in value.items()}
    name = component_name(value, path, registry)
    return {**below, USE: name} if name else below


def _without_secrets(plain: Any, document: Document, path: KeyPath = ()) -> Any:
    """Replace each secret value in `plain` by the text in the recipe file, such as `${VAR}`."""
    if isinstance(plain, Mapping):
        return {
            key: _without_secrets(value, document, (*path, key)) for key, value in plain.items()
        }
    if isinstance(plain, list | tuple):
        return [
            _without_secrets(value, document, (*path, index)) for index, value in enumerate(plain)
        ]
    place = document.places.get(path)
    is_secret = place is not None and place.is_secret and isinstance(plain, str)
    return Written(place.text) if place and is_secret else plain


def _origins(resolved: Mapping[str, Any], document: Document) -> dict[str, str]:
    """Return each value's origin, such as `recipe.yaml:3` or `default`, by dotted key path."""
    return {dotted(path): str(document.places.get(path, DEFAULT)) for path in paths(resolved)}
