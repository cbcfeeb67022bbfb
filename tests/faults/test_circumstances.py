"""Every command in every bad circumstance: `docs/faults.md`."""

from __future__ import annotations

import pytest

from latte.cli.main import COMMANDS as NAMES
from latte.cli.plugin_commands import plugin_commands
from tests.faults.circumstances import CIRCUMSTANCES, Circumstance, CommandOutcome, Matrix, row
from tests.faults.commands import COMMANDS
from tests.faults.outcome import NotPermittedError


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """Matrix whose finished run is made once."""
    return Matrix(tmp_path_factory.mktemp("circumstances"))


@pytest.mark.slow
@pytest.mark.parametrize("circumstance", CIRCUMSTANCES, ids=lambda circumstance: circumstance.name)
def test_every_command_is_done_or_ends_with_one_line(
    circumstance: Circumstance, matrix: Matrix
) -> None:
    try:
        cells = matrix.cells(circumstance)
    except NotPermittedError as error:
        pytest.skip(str(error))
    assert [cell for cell in cells if cell.complaint] == []


def test_the_matrix_has_every_command_of_latte_and_no_other() -> None:
    tried = {command.arguments[0] for command in COMMANDS}
    assert {*NAMES} <= tried <= {*NAMES, *plugin_commands(), "--help"}


def test_a_row_counts_exit_codes_and_is_bad_if_a_promise_is_broken() -> None:
    good = CommandOutcome("doctor", (0, 2), "")
    outcome = row(CIRCUMSTANCES[0], [good, CommandOutcome("predict", (0,), "left: .rows.csv.tmp")])
    assert (outcome.times, outcome.saw) == (2, "2 x exit 0, 1 x exit 2")
    assert not outcome.is_good
    assert row(CIRCUMSTANCES[0], [good]).is_good
