"""Controls: variants of a recipe that differ from it in the keys that they write."""

from __future__ import annotations

from latte.recipe.components import is_label, unusable_label, written_name
from latte.recipe.describers import DESCRIBER_KEYS
from latte.recipe.layout import CONTROL_KEYS, ONE_LEARNER, SHARED, USE, kind_at
from latte.recipe.learners import LEARNERS
from latte.recipe.mistakes import Mistakes
from latte.recipe.node import KeyPath, Node
from latte.recipe.wording import EXPECTED, wrong_type
from latte.registry.registry import Registry

CONTROLS = "controls"
_TAKEN = ("zero-shot", "adapted")
"""What reports call the two models that every run evaluates."""


def controls_of(root: Node, mistakes: Mistakes) -> dict[str, Node]:
    """The usable controls of a recipe by name: what each of them writes."""
    node = root.child(CONTROLS)
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        mistakes.add(node.origin, (CONTROLS,), *wrong_type([EXPECTED["dict_type"]], node))
        return {}
    return {
        name: _without_shared_keys(control, name, mistakes)
        for name, control in node.value.items()
        if _is_usable(control, name, mistakes)
    }


def varied(recipe: Node, control: Node, registry: Registry) -> Node:
    """The recipe of a control: mappings are merged, everything else is replaced."""
    base = recipe.replaced(CONTROLS, None)
    if control.child(LEARNERS) is not None:
        for key in ONE_LEARNER:
            base = base.replaced(key, None)
    if {*DESCRIBER_KEYS} & {*control.plain()}:
        for key in DESCRIBER_KEYS:
            if control.child(key) is None:
                base = base.replaced(key, None)
    return _merged(base, control, (), registry)


def with_written_names(node: Node, registry: Registry, path: KeyPath = ()) -> Node:
    """What a control writes, with components named as in a resolved recipe."""
    if isinstance(node.value, dict):
        named = _use(node, path, registry)
        entries = {
            key: with_written_names(below, registry, (*path, key))
            for key, below in node.value.items()
        }
        if named:
            entries[USE] = Node(named, entries[USE].origin)
        return Node(entries, node.origin)
    if isinstance(node.value, list):
        items = [
            with_written_names(below, registry, (*path, index))
            for index, below in enumerate(node.value)
        ]
        return Node(items, node.origin)
    return node


def _merged(base: Node | None, change: Node, path: KeyPath, registry: Registry) -> Node:
    if base is None or not (isinstance(base.value, dict) and isinstance(change.value, dict)):
        return change
    use = _use(change, path, registry)
    if use and use != _use(base, path, registry):
        return change
    entries = dict(base.value)
    for key, below in change.value.items():
        entries[key] = _merged(base.value.get(key), below, (*path, key), registry)
    return Node(entries, change.origin)


def _use(node: Node, path: KeyPath, registry: Registry) -> str | None:
    """The component that `node` names, one name for each component; None if it names none."""
    kind, use = kind_at(path), node.child(USE)
    if kind is None or use is None or not isinstance(use.value, str):
        return None
    for registered in registry.all(kind):
        if use.value in (registered.spec.name, registered.full_name):
            return written_name(registry, registered)
    return use.value


def _is_usable(control: Node, name: str, mistakes: Mistakes) -> bool:
    path = (CONTROLS, name)
    if not is_label(name):
        mistakes.add(control.origin, path, *unusable_label(name))
    elif name in _TAKEN:
        mistakes.add(
            control.origin,
            path,
            f'every report has a model called "{name}" already',
            "Give the control another name.",
        )
    elif not isinstance(control.value, dict):
        mistakes.add(control.origin, path, *wrong_type([EXPECTED["dict_type"]], control))
    else:
        return True
    return False


def _without_shared_keys(control: Node, name: str, mistakes: Mistakes) -> Node:
    """The control without keys that it cannot have, which are reported."""
    for key in (*SHARED, CONTROLS):
        node = control.child(key)
        if node is not None:
            mistakes.add(
                node.origin,
                (CONTROLS, name, key),
                f'a control cannot set "{key}"',
                f"A control can set: {', '.join(CONTROL_KEYS)}.",
            )
            control = control.replaced(key, None)
    return control
