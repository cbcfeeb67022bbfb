"""JSON Schema of recipes for editors, from the model and the installed components.

With the schema, editors mark misspelt keys, wrong types and wrong names, and show every default.
Mistakes that concern a complete recipe, such as a missing option, are found by `latte check`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic.json_schema import models_json_schema

from latte.interfaces import LatteError, NoOptions, Options
from latte.recipe.component import KIND, LABEL
from latte.recipe.model import (
    CONTROL_KEYS,
    DEFAULT_AUGMENTATION,
    DEFAULT_BACKBONE,
    RecipeKeys,
    component_at,
)
from latte.recipe.places import SHORT
from latte.recipe.shipped import shipped_names
from latte.registry.registry import Registry
from latte.registry.spec import BY, KINDS, NAME, USE, Kind, Registered, reserved_keys

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "#/$defs/"
_RESERVED: dict[str, Schema] = {
    NAME: {"type": "string", "description": "label that distinguishes it from others of its list"},
    BY: {"type": "string", "description": "the describer that it asks; default: the first"},
}


def recipe_schema(registry: Registry) -> Schema:
    """Return the JSON Schema, as plain data, of recipes that use the components in `registry`."""
    options = {one: _options(registry, one) for one in registry.all() if one.spec.kind != "model"}
    models: dict[type[Options], None] = dict.fromkeys([RecipeKeys, *options.values()])
    places, found = models_json_schema(
        [(model, "validation") for model in models], ref_template=f"{_REFERENCE}{{model}}"
    )
    schemas = _adapted(found["$defs"])
    keys = {**schemas.pop(RecipeKeys.__name__)["properties"], **_short_keys()}
    properties = {
        one: schemas[str(places[(model, "validation")]["$ref"]).removeprefix(_REFERENCE)]
        for one, model in options.items()
    }
    for kind in KINDS:
        known = {one: schema for one, schema in properties.items() if one.spec.kind == kind}
        schemas[kind] = _component(kind, known)
    base = {"anyOf": [{"enum": [*shipped_names()]}, {"type": "string", "pattern": r"\.ya?ml$"}]}
    extends = {
        "anyOf": [base, {"type": "array", "items": base}, {"type": "null"}],
        "description": "recipes that this one changes: files beside it, or shipped names",
    }
    change = _closed({key: keys[key] for key in (*CONTROL_KEYS, *SHORT)})
    controls = {
        "type": "object",
        "propertyNames": {"pattern": f"^{LABEL.pattern}$"},
        "additionalProperties": _nullable(change),
        "description": "variants that run for comparison, with the keys that each changes",
    }
    body = _closed({"extends": extends, **keys, "controls": _nullable(controls)})
    return {
        "$schema": DIALECT,
        "title": "latte recipe",
        "description": "How CLIP is adapted to unlabelled images.",
        **body,
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": ["backbone", "dataset"]},
        "$defs": _referred_to(body, schemas),
    }


def _adapted(schema: Any) -> Any:
    """Return pydantic's schema with references to components, and without required keys.

    No key is required, because an extended recipe may set it.
    """
    if isinstance(schema, list):
        return [_adapted(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    about = {key: _adapted(one) for key, one in schema.items() if key not in ("required", KIND)}
    return {**about, **_refer(schema[KIND])} if KIND in schema else about


def _short_keys() -> dict[str, Schema]:
    components = {key: component_at(path) for key, path in SHORT.items()}
    return {key: _nullable(_refer(one.kind)) for key, one in components.items() if one}


def _referred_to(body: Schema, schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    text = json.dumps([body, schemas])
    return {name: one for name, one in sorted(schemas.items()) if f'"{_REFERENCE}{name}"' in text}


def _options(registry: Registry, registered: Registered) -> type[Options]:
    try:
        return registry.options_model(registered)
    except LatteError:
        return NoOptions


def _component(kind: Kind, options: Mapping[Registered, Schema]) -> Schema:
    """Return the schema of a component: its name, or a mapping with `use` and options."""
    if not options:
        return {"not": {}}
    shared = {key: _RESERVED[key] for key in reserved_keys(kind) if key != USE}
    short = Counter(one.spec.name for one in options)  # a name of two packages is ambiguous
    names = {
        one: [one.spec.name] * (short[one.spec.name] == 1) + [one.full_name] for one in options
    }
    every = [name for own in names.values() for name in own]
    alternatives = []
    known: set[str] = set()
    for one, schema in options.items():
        own = schema.get("properties", {})
        known |= {*own}
        chosen = {USE: {"enum": names[one], "description": one.spec.summary}}
        then = {"description": one.spec.summary, **_closed({**chosen, **shared, **own})}
        test = {"required": [USE], "properties": {USE: {"enum": names[one]}}}
        alternatives.append({"if": test, "then": then})
        if one.full_name in (DEFAULT_AUGMENTATION, DEFAULT_BACKBONE):
            default = {"if": {"not": {"required": [USE]}}, "then": _closed({**shared, **own})}
            alternatives.append(default)
    mapping = {
        "type": "object",
        "properties": {USE: {"enum": every}},
        "propertyNames": {"enum": [USE, *shared, *sorted(known)]},
        "allOf": alternatives,
    }
    return {"anyOf": [{"enum": every}, mapping]}


def _refer(name: str) -> Schema:
    return {"$ref": f"{_REFERENCE}{name}"}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _closed(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}
