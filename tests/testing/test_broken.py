"""Each contract finds exactly the faults of the broken components."""

from __future__ import annotations

import inspect
import pkgutil
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.testing import broken

pytestmark = pytest.mark.thorough

FOLDER = Path(broken.__file__).parent


def contracts() -> dict[str, Any]:
    """Return the contracts of all broken components by class name."""
    modules = [
        import_module(f"{broken.__name__}.{one.name}")
        for one in pkgutil.iter_modules([str(FOLDER)])
    ]
    return {
        name: contract
        for module in modules
        for name, contract in vars(module).items()
        if name.startswith("Test") and inspect.isclass(contract)
    }


FAULTS = {name: contract.fails for name, contract in contracts().items()}


class Recorder:
    """Pytest plugin that records the failed tests of each class."""

    def __init__(self) -> None:
        self.failed: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            _, contract, test = report.nodeid.split("::")
            self.failed[contract].add(test.partition("[")[0].removeprefix("test_"))


@pytest.fixture(scope="module")
def failed() -> dict[str, set[str]]:
    """Return the failed tests per contract, from one nested pytest run."""
    recorder = Recorder()
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
    settings = ["-o", "addopts=", "-o", "python_files=*.py"]
    pytest.main([*options, *settings, str(FOLDER)], plugins=[recorder])
    return recorder.failed


@pytest.mark.parametrize("fault", FAULTS)
def test_contract_finds_the_fault(fault: str, failed: dict[str, set[str]]) -> None:
    assert failed[fault] == FAULTS[fault]


def test_every_contract_test_finds_a_fault() -> None:
    tests = {
        name.removeprefix("test_")
        for contract in contracts().values()
        for name in dir(contract)
        if name.startswith("test_")
    }
    assert tests == set().union(*FAULTS.values())
