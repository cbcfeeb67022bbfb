"""Each contract test accepts a sound component, and finds the fault of its mutant."""

from __future__ import annotations

from collections import defaultdict

import latte_author.testing
import pytest
from latte_author.testing import RunContract

from tests.author.testing.mutants import collected

pytestmark = pytest.mark.thorough

TESTS = [(contract, test) for contract, tests in collected.MUTANTS.items() for test in tests]


class Recorder:
    """Pytest plugin that counts the outcomes of the tests of each class."""

    def __init__(self) -> None:
        self.outcomes: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid.split("::")[1]].add(report.outcome)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, set[str]]:
    """Return the outcomes of the tests by class, from one nested pytest run."""
    recorder = Recorder()
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    settings = ["-o", "python_files=*.py", str(collected.__file__)]
    pytest.main([*options, *settings], plugins=[recorder])
    return recorder.outcomes


@pytest.mark.parametrize(("contract", "test"), TESTS)
def test_contract_test_finds_the_fault(
    contract: type, test: str, outcomes: dict[str, set[str]]
) -> None:
    name = f"{contract.__name__}_{test}"
    assert outcomes[f"TestSound_{name}"] == {"passed"}
    assert "failed" in outcomes[f"TestBroken_{name}"]


def test_every_contract_test_has_a_mutant() -> None:
    """The tests of `RunContract` have theirs in `test_run_contract.py`."""
    contracts = {getattr(latte_author.testing, name) for name in latte_author.testing.__all__}
    contracts = {one for one in contracts if one.__name__.endswith("Contract")} - {RunContract}
    assert {one: {*tests} for one, tests in collected.MUTANTS.items()} == {
        one: collected.tests_of(one) for one in contracts
    }
