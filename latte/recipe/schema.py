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
from latte.io.paths import LABEL
from latte.recipe.component import KIND
from latte.recipe.model import (
    CONTROL_KEYS,
    DEFAULT_AUGMENTATION,
    LISTS,
    RecipeKeys,
    component_at,
)
from latte.recipe.places import SHORT
from latte.recipe.shipped import shipped_names
from latte.registry.registry import Registry
from latte.registry.spec import (
    BY,
    DEFAULT_BACKBONE,
    KINDS,
    NAME,
    USE,
    Kind,
    Registered,
    reserved_keys,
)

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "#/$defs/"
_RESERVED: dict[str, Schema] = {
    NAME: {"type": "string", "description": "label that distinguishes it from others of its list"},
    BY: {"type": "string", "description": "the describer that it asks; default: the first"},
}


def recipe_schema(registry: Registry) -> Schema:
    """Return the JSON Schema, as plain data, of recipes that use the components in `registry`."""
    options = {
        component: _options(registry, component)
        for component in registry.all()
        if component.spec.kind != "model"
    }
    models: dict[type[Options], None] = dict.fromkeys([RecipeKeys, *options.values()])
    references, generated = models_json_schema(
        [(model, "validation") for model in models], ref_template=f"{_REFERENCE}{{model}}"
    )
    schemas = _adapted(generated["$defs"])
    keys = {**schemas.pop(RecipeKeys.__name__)["properties"], **_short_keys()}
    keys |= {key: _with_named_items(keys[key]) for key in LISTS}
    names = {model: str(references[(model, "validation")]["$ref"]) for model in models}
    for kind in KINDS:
        schemas[kind] = _component(
            kind,
            {
                component: schemas[names[model].removeprefix(_REFERENCE)].get("properties", {})
                for component, model in options.items()
                if component.spec.kind == kind
            },
        )
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
        "then": {
            "required": ["backbone", "dataset"],
            "properties": {key: {"type": "array"} for key in LISTS},
        },
        "$defs": _referred_to(body, schemas),
    }


def _adapted(schema: Any) -> Any:
    """Return pydantic's schema with references to components, and without required keys.

    No key is required, because an extended recipe may set it.
    """
    if isinstance(schema, list):
        return [_adapted(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    about = {key: _adapted(value) for key, value in schema.items() if key not in ("required", KIND)}
    return {**about, **_refer(schema[KIND])} if KIND in schema else about


def _with_named_items(schema: Schema) -> Schema:
    """Return the schema of a list, or of a mapping that changes items of an inherited list."""
    about: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    by_name = {"type": "object", "additionalProperties": schema["items"]}
    return {**about, "anyOf": [schema, by_name]}


def _short_keys() -> dict[str, Schema]:
    components = {key: component_at(path) for key, path in SHORT.items()}
    return {
        key: _nullable(_refer(component.kind)) for key, component in components.items() if component
    }


def _referred_to(body: Schema, schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    text = json.dumps([body, schemas])
    return {
        name: schema for name, schema in sorted(schemas.items()) if f'"{_REFERENCE}{name}"' in text
    }


def _options(registry: Registry, registered: Registered) -> type[Options]:
    try:
        return registry.options_model(registered)
    except LatteError:
        return NoOptions


def _component(kind: Kind, options: Mapping[Registered, Schema]) -> Schema:
    """Return the schema of a component: its name, or a mapping with `use` and `options`."""
    if not options:
        return {"not": {}}
    labels = {key: _RESERVED[key] for key in reserved_keys(kind) if key != USE}
    count = Counter(component.spec.name for component in options)
    uses: list[str] = []
    alternatives: list[Schema] = []
    for component, properties in options.items():
        is_unique = count[component.spec.name] == 1  # else a recipe needs the full name
        names = [component.spec.name] * is_unique + [component.full_name]
        uses += names
        about = {"description": component.spec.summary}
        variant = _closed({USE: {"enum": names, **about}, **labels, **properties})
        test = {"required": [USE], "properties": {USE: {"enum": names}}}
        alternatives.append({"if": test, "then": {**about, **variant}})
        if component.full_name in (DEFAULT_AUGMENTATION, DEFAULT_BACKBONE):
            unnamed = _closed({**labels, **properties})
            alternatives.append({"if": {"not": {"required": [USE]}}, "then": unnamed})
    keys = sorted({key for properties in options.values() for key in properties})
    mapping = {
        "type": "object",
        "properties": {USE: {"enum": uses}},
        "propertyNames": {"enum": [USE, *labels, *keys]},
        "allOf": alternatives,
    }
    return {"anyOf": [{"enum": uses}, mapping]}


def _refer(name: str) -> Schema:
    return {"$ref": f"{_REFERENCE}{name}"}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _closed(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}
