"""Declarations of the built-in components: their order, and the names of their classes."""

from __future__ import annotations

import pickle

import pytest

from latte.components import latte_components
from latte.components.datasets.published.facts import all_facts
from latte.registry.discovery import import_target
from latte.registry.spec import KINDS, ComponentSpec

DECLARED = [*latte_components()]
PUBLISHED = [*all_facts()]
OTHERS = DECLARED[: -len(PUBLISHED)]


def test_components_are_declared_in_the_order_of_kinds_and_published_datasets_last() -> None:
    assert [one.name for one in DECLARED[len(OTHERS) :]] == PUBLISHED
    kinds = [KINDS.index(one.kind) for one in OTHERS]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize("spec", OTHERS, ids=lambda one: f"{one.kind} {one.name}")
def test_component_class_has_the_name_of_its_target(spec: ComponentSpec) -> None:
    found = import_target(spec.target)
    assert found.__name__ == spec.target.rpartition(":")[2]
    assert pickle.loads(pickle.dumps(found)) is found
