"""Which keys a model allows at which place, read from its annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel

from latte.interfaces.settings import (
    BackboneSettings,
    EvaluateSettings,
    GeneralSettings,
    TrainSettings,
)
from latte.recipe.mistakes import suggestion
from latte.recipe.node import KeyPath, Node, dotted
from latte.registry.spec import USE, Kind


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


# Which keys a recipe has, and where in it components are named.


GENERAL = tuple(GeneralSettings.model_fields)
ORACLE = "oracle"
"""The key by which a recipe, or a control for itself, allows the use of ground-truth labels."""
REQUIRES = "requires"
CONTROLS = "controls"
LEARNERS = "learners"
EXTENDS = "extends"
"""The key by which a file names the recipes that it changes; merged recipes have it no more."""
SHARED = tuple(key for key in GENERAL if key != ORACLE)
"""Keys that controls have in common with their recipe."""
SETTINGS = ("backbone", "train", "evaluate")
SINGLE: dict[str, Kind] = {
    "dataset": "dataset",
    "guard": "guard",
    "describer": "describer",
    "prototypes": "prototypes",
    "loss": "loss",
}
"""Keys that hold one component, and its kind."""
SEVERAL: dict[str, Kind] = {
    "describers": "describer",
    "descriptions": "description",
    "gates": "gate",
    "labels": "labeler",
    "reporters": "reporter",
}
"""Keys that hold a list of components, and their kind."""
ONE_DESCRIBER = "describer"
"""The key of the single describer, where `describers` does not list several."""
ONE_LEARNER = ("trainable", "prototypes", "loss")
"""Keys that make the single learner `main`, where `learners` does not list several."""
KEYS = (
    *GENERAL,
    "backbone",
    "dataset",
    "guard",
    "describer",
    "describers",
    "descriptions",
    "gates",
    "labels",
    *ONE_LEARNER,
    LEARNERS,
    "train",
    "evaluate",
    "reporters",
    CONTROLS,
)
"""Every key at the top of a recipe, in the order of a resolved one."""
CONTROL_KEYS = tuple(key for key in KEYS if key not in (*SHARED, CONTROLS))
LEARNER_KEYS = ("name", "trainable", "optimizer", "prototypes", "loss")


def kind_at(path: KeyPath) -> Kind | None:
    """The kind of component that stands at `path` of a recipe or, below its name, of a control."""
    match path:
        case ("controls", str(), *below):
            return kind_at(tuple(below))
        case (str(key),) | ("learners", int(), ("prototypes" | "loss") as key):
            return SINGLE.get(key)
        case (str(key), int()):
            return SEVERAL.get(key)
    return None


def spelled_out(node: Node, path: KeyPath = ()) -> Node:
    """The recipe with `{use: STRING}` where only a string names a component."""
    if kind_at(path) and isinstance(node.value, str):
        return Node({USE: node}, node.origin)
    if isinstance(node.value, dict):
        entries = {key: spelled_out(below, (*path, key)) for key, below in node.value.items()}
        return Node(entries, node.origin)
    if isinstance(node.value, list):
        items = [spelled_out(below, (*path, index)) for index, below in enumerate(node.value)]
        return Node(items, node.origin)
    return node


# Which keys exist in which part of a recipe, so that a misplaced key is sent home.


_MOST_PLACES = 3
_DEEPEST = 6
"""Models may contain themselves."""


class Sections:
    """The keys of settings, and of the components that a recipe has chosen."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {key: [""] for key in (*KEYS, EXTENDS)}
        self.add(("backbone",), BackboneSettings)
        self.add(("train",), TrainSettings)
        self.add(("evaluate",), EvaluateSettings)

    def add(self, place: KeyPath, model: type[BaseModel]) -> None:
        """The keys of `model`, and of models in it, exist at `place`."""
        for name, field in model.model_fields.items():
            places = self._places.setdefault(name, [])
            if dotted(place) not in places:
                places.append(dotted(place))
            if len(place) < _DEEPEST:
                for nested in models_in(field.annotation):
                    self.add((*place, name), nested)

    def unknown_key(self, key: str, names: Sequence[str]) -> tuple[str, str]:
        """What to say about `key` where only `names` are possible."""
        what = f'unknown key "{key}"'
        places = self._places.get(key)
        if places:
            homes = [place or "the top of the recipe" for place in places[:_MOST_PLACES]]
            return what, f"It belongs to {' or '.join(homes)}."
        if not names:
            return what, "There is nothing to set here; remove it."
        return what, suggestion(key, names, "All keys here")
