"""The components that a recipe has unless it says otherwise."""

from __future__ import annotations

from latte.recipe.layout import LEARNERS
from latte.recipe.node import DEFAULT, Node, Origin
from latte.registry.keys import USE

_DEFAULT = Origin(DEFAULT)
_REPORTERS = ("html", "model-card")
_PROTOTYPES = "templates"


def with_defaults(root: Node) -> Node:
    """The recipe with what it left out: reporters, and each learner's prototypes."""
    if root.child("reporters") is None:
        root = root.replaced("reporters", Node([*map(_named, _REPORTERS)], _DEFAULT))
    learners = root.child(LEARNERS)
    if learners is None:
        return _with_prototypes(root)
    if isinstance(learners.value, list):
        items = [_with_prototypes(item) for item in learners.value]
        root = root.replaced(LEARNERS, Node(items, learners.origin))
    return root


def _with_prototypes(node: Node) -> Node:
    if not isinstance(node.value, dict) or node.child("prototypes") is not None:
        return node
    return node.replaced("prototypes", _named(_PROTOTYPES))


def _named(component: str) -> Node:
    return Node({USE: Node(component, _DEFAULT)}, _DEFAULT)
