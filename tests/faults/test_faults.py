"""Real faults happen to real processes of `latte run`: `docs/faults.md`.

The fast one is `tests/run/test_crashes.py`.
"""

from __future__ import annotations

import pytest

from tests.faults.__main__ import FAULTS
from tests.faults.outcome import FaultOutcome, NotPermittedError
from tests.faults.site import Site


def check(outcomes: list[FaultOutcome]) -> None:
    assert outcomes
    assert [outcome for outcome in outcomes if not outcome.is_good] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One for all: the undisturbed run is made once."""
    return Site(tmp_path_factory.mktemp("faults"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"circumstances"}))
def test_nothing_is_lost_and_the_results_are_the_same(name: str, site: Site) -> None:
    try:
        check(FAULTS[name](site, 16))
    except NotPermittedError as error:
        pytest.skip(str(error))
