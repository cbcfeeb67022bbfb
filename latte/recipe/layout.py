"""The keys of a recipe, and the places where it names components."""

from __future__ import annotations

from latte.interfaces.settings import GeneralSettings
from latte.recipe.node import KeyPath, Node
from latte.registry.spec import USE, Kind

GENERAL = tuple(GeneralSettings.model_fields)
ORACLE = "oracle"
"""Key by which a recipe, or a control for itself, allows the use of ground-truth labels."""
REQUIRES = "requires"
CONTROLS = "controls"
LEARNERS = "learners"
EXTENDS = "extends"
"""Key by which a file names the recipes that it extends; merged recipes do not have it."""
SHARED = tuple(key for key in GENERAL if key != ORACLE)
"""Keys that controls take from their recipe and cannot set."""
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
DESCRIBERS = "describers"
DESCRIBER_KEYS = (ONE_DESCRIBER, DESCRIBERS)
"""A single describer, or a list: a recipe has at most one of these keys."""
ONE_LEARNER = ("trainable", "prototypes", "loss")
"""Keys of the single learner `main`, in recipes without `learners`."""
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
"""Every top-level key, in the order of a resolved recipe."""
CONTROL_KEYS = tuple(key for key in KEYS if key not in (*SHARED, CONTROLS))


def kind_at(path: KeyPath) -> Kind | None:
    """Return the kind of component that a recipe, or a control below its name, has at `path`."""
    match path:
        case ("controls", str(), *below):
            return kind_at(tuple(below))
        case (str(key),) | ("learners", int(), ("prototypes" | "loss") as key):
            return SINGLE.get(key)
        case (str(key), int()):
            return SEVERAL.get(key)
    return None


def spelled_out(node: Node, path: KeyPath = ()) -> Node:
    """Return the recipe with each component that is only a name written as `{use: NAME}`."""
    if kind_at(path) and isinstance(node.value, str):
        return Node({USE: node}, node.origin)
    return node.mapped(lambda key, below: spelled_out(below, (*path, key)))
