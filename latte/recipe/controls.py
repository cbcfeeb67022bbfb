"""Merge a control into its recipe, or a recipe into the recipe that it extends.

A control is a variant of a recipe that runs for comparison. It lists only the keys that differ.
"""

from __future__ import annotations

from latte.recipe.components import is_label, unusable_label, written_name
from latte.recipe.layout import CONTROL_KEYS, LEARNERS, ONE_LEARNER, SHARED, kind_at
from latte.recipe.mistakes import EXPECTED, Mistakes, wrong_type
from latte.recipe.node import KeyPath, Node, find
from latte.registry.registry import Registry
from latte.registry.spec import USE

_TAKEN = ("zero-shot", "adapted", "candidate")
"""Names that no control may have, because reports give them to the run's own models."""


def merged(base: Node, change: Node, registry: Registry) -> Node:
    """Return `base` with the values of `change` merged over it.

    Two mappings are merged key by key, unless they name different components. All other values of
    `change` replace the values of `base`. A key of `base` is dropped if a key of `change` excludes
    it, as `learners` excludes `prototypes`. The package requirements of `base` and `change` are all
    kept. `controls: {}` in `change` removes all controls.
    """
    whole = _merged(_without_excluded(base, change), change, (), registry)
    own, others = change.child("requires"), base.child("requires")
    if not (own and others and isinstance(own.value, list) and isinstance(others.value, list)):
        return whole
    known = [node.value for node in own.value]
    added = [node for node in others.value if node.value not in known]
    return whole.replaced("requires", Node([*own.value, *added], own.origin))


def component_name(node: Node, path: KeyPath, registry: Registry) -> str | None:
    """Return the unique name of the component that `node` uses; None if `node` is no component."""
    kind, use = kind_at(path), node.child(USE)
    if kind is None or use is None or not isinstance(use.value, str):
        return None
    for registered in registry.all(kind):
        if use.value in (registered.spec.name, registered.full_name):
            return written_name(registry, registered)
    return use.value


def _merged(base: Node | None, change: Node, path: KeyPath, registry: Registry) -> Node:
    if base is None or not (isinstance(base.value, dict) and isinstance(change.value, dict)):
        return change
    if path == ("controls",) and not change.value:
        return change
    use = component_name(change, path, registry)
    if use and use != component_name(base, path, registry):
        return change
    entries = dict(base.value)
    for key, below in change.value.items():
        entries[key] = _merged(base.value.get(key), below, (*path, key), registry)
    return Node(entries, change.origin)


def _without_excluded(base: Node, change: Node) -> Node:
    written = {*change.plain()}
    if LEARNERS in written:
        base = base.without(ONE_LEARNER)
    elif written & {*ONE_LEARNER}:
        base = base.without([LEARNERS])
    if written & {"describer", "describers"}:
        base = base.without({"describer", "describers"} - written)
    return without_other_views(base, change)


def without_other_views(base: Node, change: Node) -> Node:
    """Return `base` without the augmentation settings that contradict `change`.

    The keys `train.augment` and `augmentation` both define how training images are augmented. If
    `change` has one of the keys, `base` loses the other. A null `augmentation` does not count.
    """
    component, train = change.child("augmentation"), base.child("train")
    if component is not None and component.value is not None:
        return base.replaced("train", train.without(["augment"])) if train else base
    return base.without(["augmentation"]) if find(change, ("train", "augment")) else base


def controls_of(root: Node, mistakes: Mistakes) -> dict[str, Node]:
    """Return a recipe's valid controls (variants for comparison) by name, without null controls."""
    node = root.child("controls")
    if node is None or node.value is None:
        return {}
    if not isinstance(node.value, dict):
        mistakes.add(node.origin, ("controls",), *wrong_type([EXPECTED["dict_type"]], node))
        return {}
    return {
        name: _without_shared_keys(control, name, mistakes)
        for name, control in node.value.items()
        if control.value is not None and _is_usable(control, name, mistakes)
    }


def with_written_names(node: Node, registry: Registry, path: KeyPath = ()) -> Node:
    """Return a copy of a control in which components have their unique names."""
    named, use = component_name(node, path, registry), node.child(USE)
    node = node.mapped(lambda key, below: with_written_names(below, registry, (*path, key)))
    return node.replaced(USE, Node(named, use.origin)) if named and use else node


def _is_usable(control: Node, name: str, mistakes: Mistakes) -> bool:
    path = ("controls", name)
    if not is_label(name):
        mistakes.add(control.origin, path, *unusable_label(name))
    elif name in _TAKEN:
        what = f'every report has a model called "{name}" already'
        mistakes.add(control.origin, path, what, "Give the control another name.")
    elif not isinstance(control.value, dict):
        mistakes.add(control.origin, path, *wrong_type([EXPECTED["dict_type"]], control))
    else:
        return True
    return False


def _without_shared_keys(control: Node, name: str, mistakes: Mistakes) -> Node:
    taken = (*SHARED, "controls")
    for key, node in control.items():
        if key in taken:
            what = f'a control cannot set "{key}"'
            hint = f"A control can set: {', '.join(CONTROL_KEYS)}."
            mistakes.add(node.origin, ("controls", name, key), what, hint)
    return control.without(taken)
