"""Which keys a recipe has, and where in it components are named."""

from __future__ import annotations

from latte.interfaces.settings import GeneralSettings
from latte.recipe.node import KeyPath, Node
from latte.registry.keys import USE
from latte.registry.spec import Kind

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
