"""Declarations of the built-in components: their order, and the names of their classes."""

from __future__ import annotations

import pickle

import pytest

from latte.components import latte_components
from latte.registry.discovery import import_target
from latte.registry.spec import KINDS, ComponentSpec

DECLARED = [*latte_components()]


def test_components_are_declared_in_the_order_of_kinds() -> None:
    kinds = [KINDS.index(spec.kind) for spec in DECLARED]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize("spec", DECLARED, ids=lambda spec: f"{spec.kind} {spec.name}")
def test_component_class_has_the_name_of_its_target(spec: ComponentSpec) -> None:
    component_class = import_target(spec.target)
    assert component_class.__name__ == spec.target.rpartition(":")[2]
    assert pickle.loads(pickle.dumps(component_class)) is component_class
