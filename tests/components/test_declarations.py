"""Declarations of the built-in components: their order, and the names of their classes."""

from __future__ import annotations

import pickle

import pytest

from latte.components import latte_components
from latte.registry.discovery import import_target
from latte.registry.spec import KINDS, ComponentSpec

DECLARED = [*latte_components()]


def test_components_are_declared_in_the_order_of_kinds() -> None:
    kinds = [KINDS.index(one.kind) for one in DECLARED]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize("spec", DECLARED, ids=lambda one: f"{one.kind} {one.name}")
def test_component_class_has_the_name_of_its_target(spec: ComponentSpec) -> None:
    found = import_target(spec.target)
    assert found.__name__ == spec.target.rpartition(":")[2]
    assert pickle.loads(pickle.dumps(found)) is found
