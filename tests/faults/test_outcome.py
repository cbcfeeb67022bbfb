"""The table of faults: at most 80 columns, and bad only where something was lost or differs."""

from __future__ import annotations

from tests.faults.outcome import FaultOutcome, heads, skipped, table

ROWS = [
    FaultOutcome("kill -9: zero-shot", 13, "Killed (exit -9)"),
    FaultOutcome("disk full", 6, "no space left on device, said at some length (exit 2)" * 3),
    FaultOutcome("cache", 1, "nothing", lost="2 texts", same="no: squares/model.safetensors"),
    skipped("clock", "needs libfaketime"),
]


def test_it_fits_eighty_columns_and_names_every_fault() -> None:
    lines = [*heads().splitlines(), *table(ROWS).splitlines()]
    assert max(map(len, lines)) <= 80
    assert all(any(line.startswith(row.fault) for line in lines) for row in ROWS)


def test_only_what_is_lost_or_differs_is_bad() -> None:
    assert [row.is_good for row in ROWS] == [True, True, False, True]
    assert not FaultOutcome("f", 1, "nothing", same="failed").is_good


def test_what_was_not_tried_claims_nothing() -> None:
    (line,) = [line for line in table(ROWS).splitlines() if line.startswith("clock")]
    assert "yes" not in line
    assert "not tried" in line
