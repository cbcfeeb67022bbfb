"""Contracts of all mutants, each with one test; `test_mutants.py` runs this file with pytest."""

from __future__ import annotations

from typing import Any

from tests.author.testing.mutants import (
    Mutants,
    backbone,
    component,
    data,
    describer,
    encoder,
    judging,
    training,
)

MUTANTS: Mutants = {
    contract: tests
    for module in (backbone, component, data, describer, encoder, judging, training)
    for contract, tests in module.MUTANTS.items()
}


def tests_of(contract: type) -> set[str]:
    """Return the names of the tests that `contract` defines, without `test_`."""
    return {name.removeprefix("test_") for name in vars(contract) if name.startswith("test_")}


def _with_one_test(contract: type, test: str, attributes: Any) -> type:
    others = {name: None for name in dir(contract) if name.startswith("test_")}
    del others[f"test_{test}"]
    return type("Contract", (contract,), {**others, **attributes})


for _contract, _tests in MUTANTS.items():
    for _test, _mutant in _tests.items():
        _name = f"{_contract.__name__}_{_test}"
        globals()[f"TestSound_{_name}"] = _with_one_test(_contract, _test, _mutant.sound)
        globals()[f"TestBroken_{_name}"] = _with_one_test(_contract, _test, _mutant.broken)
