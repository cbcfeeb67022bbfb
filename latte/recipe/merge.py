"""One recipe over another: how controls change their recipe, and recipes what they extend."""

from __future__ import annotations

from latte.recipe.components import written_name
from latte.recipe.describers import DESCRIBER_KEYS
from latte.recipe.layout import CONTROLS, LEARNERS, ONE_LEARNER, REQUIRES, kind_at
from latte.recipe.node import KeyPath, Node
from latte.registry.keys import USE
from latte.registry.registry import Registry


def merged(base: Node, change: Node, registry: Registry) -> Node:
    """`base` with what `change` writes.

    Mappings are merged by key, unless they name another component; everything else is replaced.
    Keys that exclude each other, as `learners` and `prototypes` do, are those of `change` if it has
    any of them. Requirements add up, and a control that is null is taken away.
    """
    whole = _merged(_without_excluded(base, change), change, (), registry)
    return _without_null_controls(_with_all_requirements(whole, base, change))


def component_name(node: Node, path: KeyPath, registry: Registry) -> str | None:
    """The component that `node` names, one name for each component; None if it names none."""
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
    use = component_name(change, path, registry)
    if use and use != component_name(base, path, registry):
        return change
    entries = dict(base.value)
    for key, below in change.value.items():
        entries[key] = _merged(base.value.get(key), below, (*path, key), registry)
    return Node(entries, change.origin)


def _without_excluded(base: Node, change: Node) -> Node:
    """`base` without the keys that cannot stand beside those of `change`."""
    written = {*change.plain()}
    if LEARNERS in written:
        base = _without(base, ONE_LEARNER)
    elif written & {*ONE_LEARNER}:
        base = _without(base, (LEARNERS,))
    if written & {*DESCRIBER_KEYS}:
        base = _without(base, [key for key in DESCRIBER_KEYS if key not in written])
    return base


def _without(node: Node, keys: tuple[str, ...] | list[str]) -> Node:
    for key in keys:
        node = node.replaced(key, None)
    return node


def _with_all_requirements(whole: Node, base: Node, change: Node) -> Node:
    own, others = change.child(REQUIRES), base.child(REQUIRES)
    if not (own and others and isinstance(own.value, list) and isinstance(others.value, list)):
        return whole
    known = [node.value for node in own.value]
    added = [node for node in others.value if node.value not in known]
    return whole.replaced(REQUIRES, Node([*own.value, *added], own.origin))


def _without_null_controls(root: Node) -> Node:
    controls = root.child(CONTROLS)
    if controls is None or not isinstance(controls.value, dict):
        return (
            root if controls is None or controls.value is not None else _without(root, [CONTROLS])
        )
    kept = {name: node for name, node in controls.value.items() if node.value is not None}
    return root.replaced(CONTROLS, Node({**kept}, controls.origin) if kept else None)
