"""Controls: variants of a recipe that differ from it in the keys that they write."""

from __future__ import annotations

from latte.recipe.components import is_label, unusable_label
from latte.recipe.layout import CONTROL_KEYS, CONTROLS, SHARED
from latte.recipe.merge import component_name, merged
from latte.recipe.mistakes import Mistakes
from latte.recipe.node import KeyPath, Node
from latte.recipe.wording import EXPECTED, wrong_type
from latte.registry.keys import USE
from latte.registry.registry import Registry

_TAKEN = ("zero-shot", "adapted", "candidate")
"""What reports call the models that a run itself evaluates."""


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
    """The recipe of a control, which has no controls itself."""
    return merged(recipe.replaced(CONTROLS, None), control, registry)


def with_written_names(node: Node, registry: Registry, path: KeyPath = ()) -> Node:
    """What a control writes, with components named as in a resolved recipe."""
    if isinstance(node.value, dict):
        named = component_name(node, path, registry)
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
