"""The contracts can fail: each finds the faults that it is there for, and no others."""

from __future__ import annotations

import inspect
import pkgutil
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.testing import broken

FOLDER = Path(broken.__file__).parent


def contracts() -> dict[str, Any]:
    """Every contract of a broken component, by the name of its class."""
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
    """A pytest plugin that remembers which tests of which class failed."""

    def __init__(self) -> None:
        self.failed: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            _, contract, test = report.nodeid.split("::")
            self.failed[contract].add(test.partition("[")[0].removeprefix("test_"))


@pytest.fixture(scope="module")
def failed() -> dict[str, set[str]]:
    """What failed, by contract: all broken components in one run inside this one."""
    recorder = Recorder()
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
    settings = ["-o", "addopts=", "-o", "python_files=*.py"]
    pytest.main([*options, *settings, str(FOLDER)], plugins=[recorder])
    return recorder.failed


@pytest.mark.parametrize("fault", FAULTS)
def test_the_contract_finds_the_fault(fault: str, failed: dict[str, set[str]]) -> None:
    assert failed[fault] == FAULTS[fault]


def test_every_test_of_a_contract_finds_a_fault() -> None:
    tests = {
        name.removeprefix("test_")
        for contract in contracts().values()
        for name in dir(contract)
        if name.startswith("test_")
    }
    assert tests == set().union(*FAULTS.values())
