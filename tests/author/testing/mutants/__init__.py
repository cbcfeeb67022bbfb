"""Tables of mutants: for each contract test, a component with the fault that the test must find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latte.interfaces import Component, NoOptions, Options


@dataclass(frozen=True)
class Mutant:
    """Attributes of two contracts: of a component without fault, and of one with a fault."""

    sound: Mapping[str, Any]
    broken: Mapping[str, Any]


Mutants = Mapping[type, Mapping[str, Mutant]]
"""Mutants by contract and by the contract test that must find the fault, without `test_`."""


def mutant(
    component: type[Component[Any]],
    options: Options = NoOptions(),  # noqa: B008
    contract: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Mutant:
    """Return a mutant of `component`: a subclass in whose body the attributes `changes` stand.

    `contract` has further attributes of both contracts.
    """
    return replaced(component, type("Broken", (component,), changes), options, contract)


def replaced(
    component: type[Component[Any]],
    broken: type[Component[Any]],
    options: Options = NoOptions(),  # noqa: B008
    contract: Mapping[str, Any] | None = None,
) -> Mutant:
    """Return the mutant `broken` of `component`."""
    return Mutant(
        {**(contract or {}), "build": lambda _: (component, options)},
        {**(contract or {}), "build": lambda _: (broken, options)},
    )
