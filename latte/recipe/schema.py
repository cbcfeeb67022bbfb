"""JSON Schema of recipes for editors, from the settings and the installed components.

With the schema, editors mark misspelt keys, wrong types and wrong names, and show every default.
Mistakes that concern a complete recipe, such as a missing option, are found by `latte check`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic.json_schema import models_json_schema

from latte.interfaces import LatteError, NoOptions, Options
from latte.interfaces.settings import (
    EvaluateSettings,
    GeneralSettings,
    LearnerSettings,
    TrainSettings,
)
from latte.recipe.components import LABEL
from latte.recipe.layout import (
    BACKBONE,
    CONTROL_KEYS,
    DEFAULT_BACKBONE,
    LEARNERS,
    ONE_LEARNER,
    SEVERAL,
    SINGLE,
)
from latte.recipe.shipped import shipped_names
from latte.registry.registry import Registry
from latte.registry.spec import BY, NAME, USE, Kind, Registered, reserved_keys

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "#/$defs/"
_SECTIONS: dict[str, type[Options]] = {"train": TrainSettings, "evaluate": EvaluateSettings}
_SETTINGS: tuple[type[Options], ...] = (*_SECTIONS.values(), GeneralSettings, LearnerSettings)
_RESERVED: dict[str, Schema] = {
    NAME: {"type": "string", "description": "label that distinguishes it from others of its list"},
    BY: {"type": "string", "description": "the describer that it asks; default: the first"},
}


def recipe_schema(registry: Registry) -> Schema:
    """Return the JSON Schema, as plain data, of recipes that use the components in `registry`."""
    options = {one: _options(registry, one) for one in registry.all() if one.spec.kind != "model"}
    definitions = _Definitions([*_SETTINGS, *options.values()])
    for kind in dict.fromkeys((*SINGLE.values(), *SEVERAL.values())):
        own = {one: model for one, model in options.items() if one.spec.kind == kind}
        definitions.schemas[kind] = _component(kind, own, definitions)
    keys = _keys(definitions)
    base = {"anyOf": [{"enum": [*shipped_names()]}, {"type": "string", "pattern": r"\.ya?ml$"}]}
    extends = {
        "anyOf": [base, {"type": "array", "items": base}, {"type": "null"}],
        "description": "recipes that this one changes: files beside it, or shipped names",
    }
    controls = {
        "type": "object",
        "propertyNames": {"pattern": f"^{LABEL.pattern}$"},
        "additionalProperties": _nullable(_closed({key: keys[key] for key in CONTROL_KEYS})),
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
        "$defs": definitions.referred_to(body),
    }


class _Definitions:
    """Schemas for the section `$defs`, by name; other schemas refer to them."""

    def __init__(self, models: Sequence[type[Options]]) -> None:
        unique = [*dict.fromkeys(models)]
        self._places, found = models_json_schema(
            [(model, "validation") for model in unique], ref_template=f"{_REFERENCE}{{model}}"
        )
        # No key is required, because an extended recipe may set it.
        self.schemas: dict[str, Schema] = {
            name: {key: value for key, value in schema.items() if key != "required"}
            for name, schema in found.get("$defs", {}).items()
        }

    def reference(self, model: type[Options]) -> Schema:
        return dict(self._places[(model, "validation")])

    def properties(self, model: type[Options]) -> dict[str, Schema]:
        name = str(self.reference(model)["$ref"]).removeprefix(_REFERENCE)
        return dict(self.schemas[name].get("properties", {}))

    def referred_to(self, body: Schema) -> dict[str, Schema]:
        text = json.dumps([body, self.schemas])
        named = sorted(self.schemas.items())
        return {name: schema for name, schema in named if f'"{_REFERENCE}{name}"' in text}


def _options(registry: Registry, registered: Registered) -> type[Options]:
    try:
        return registry.options_model(registered)
    except LatteError:
        return NoOptions


def _keys(definitions: _Definitions) -> dict[str, Schema]:
    """Return the schemas of all top-level keys except `extends` and `controls`, by key."""
    learner = definitions.properties(LearnerSettings)
    components = {key: _nullable(_refer(kind)) for key, kind in SINGLE.items()}
    listed = {key: components[key] for key in ONE_LEARNER}
    return {
        **definitions.properties(GeneralSettings),
        **{key: definitions.reference(model) for key, model in _SECTIONS.items()},
        **components,
        BACKBONE: _refer("backbone"),
        **{key: {"type": "array", "items": _refer(kind)} for key, kind in SEVERAL.items()},
        LEARNERS: {"type": "array", "items": _closed({**learner, **listed}), "minItems": 1},
    }


def _component(
    kind: Kind, options: Mapping[Registered, type[Options]], definitions: _Definitions
) -> Schema:
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
    for one, model in options.items():
        own = definitions.properties(model)
        known |= {*own}
        chosen = {USE: {"enum": names[one], "description": one.spec.summary}}
        then = {"description": one.spec.summary, **_closed({**chosen, **shared, **own})}
        test = {"required": [USE], "properties": {USE: {"enum": names[one]}}}
        alternatives.append({"if": test, "then": then})
        if one.full_name == DEFAULT_BACKBONE:
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
