"""Keys of a recipe, and the key paths at which a recipe names components."""

from __future__ import annotations

from latte.interfaces.settings import GeneralSettings
from latte.recipe.node import KeyPath, Node
from latte.registry.spec import BUILTIN_DISTRIBUTION, NAME, USE, Kind

GENERAL = tuple(GeneralSettings.model_fields)
LEARNERS = "learners"
SHARED = tuple(key for key in GENERAL if key != "oracle")
"""Keys that controls (variants of the recipe) inherit from their recipe and cannot set."""
BACKBONE = "backbone"
DEFAULT_BACKBONE = f"{BUILTIN_DISTRIBUTION}/open_clip"
"""Backbone component of a recipe whose section `backbone` has no key `use`."""
SINGLE: dict[str, Kind] = {
    BACKBONE: "backbone",
    "dataset": "dataset",
    "guard": "guard",
    "describer": "describer",
    "prototypes": "prototypes",
    "loss": "loss",
    "trainable": "trainable",
    "augmentation": "augmentation",
}
"""Kind of component by key, for keys that hold a single component."""
SEVERAL: dict[str, Kind] = {
    "describers": "describer",
    "descriptions": "description",
    "gates": "gate",
    "labels": "labeler",
    "reporters": "reporter",
}
"""Kind of component by key, for keys that hold a list of components."""
ONE_LEARNER = ("trainable", "prototypes", "loss")
"""Keys of the single learner `main`, in recipes without `learners`."""
KEYS = (
    *GENERAL,
    BACKBONE,
    "dataset",
    "guard",
    "describer",
    "describers",
    "descriptions",
    "gates",
    "labels",
    *ONE_LEARNER,
    LEARNERS,
    "augmentation",
    "train",
    "evaluate",
    "reporters",
    "controls",
)
"""All top-level keys of a recipe except `extends`, in the order in which they are written."""
CONTROL_KEYS = tuple(key for key in KEYS if key not in (*SHARED, "controls"))


def kind_at(path: KeyPath) -> Kind | None:
    """Return the kind of component that belongs at the key path `path`; None if none does."""
    match path:
        case ("controls", str(), *below):
            return kind_at(tuple(below))
        case (str(key),) | ("learners", int(), ("trainable" | "prototypes" | "loss") as key):
            return SINGLE.get(key)
        case (str(key), int()):
            return SEVERAL.get(key)
    return None


def spelled_out(node: Node, path: KeyPath = ()) -> Node:
    """Return a copy of the recipe in which a component `NAME` is written as `{use: NAME}`."""
    if kind_at(path) and isinstance(node.value, str):
        return Node({USE: node}, node.origin)
    return node.mapped(lambda key, below: spelled_out(below, (*path, key)))


def item_names(node: Node) -> list[str | None]:
    """Return the name of each item of a list: the key `name`, or else the component's name."""
    names: list[str | None] = []
    for _, item in node.items():
        name, use = (node.value if node else None for node in (item.child(NAME), item.child(USE)))
        component = use.rpartition("/")[-1] if isinstance(use, str) else None
        names.append(name if isinstance(name, str) else component)
    return names


def with_item_names(root: Node, path: KeyPath) -> KeyPath:
    """Return `path` with each list index replaced by the item's name, if the names are unique."""
    node: Node | None = root
    keys: list[str | int] = []
    for key in path:
        names = item_names(node) if node and isinstance(key, int) else []
        name = names[key] if isinstance(key, int) and key < len(names) else None
        is_clear = name and "." not in name and names.count(name) == 1
        keys.append(name if name and is_clear else key)
        node = node.child(key) if node else None
    return tuple(keys)
