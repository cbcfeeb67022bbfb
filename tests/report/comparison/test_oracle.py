"""Runs that used labels are marked in every form of the comparison."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from latte.report.comparison.comparison import Comparison, compare_runs, notes
from latte.report.comparison.output import as_csv, as_json, table
from latte.report.comparison.page import page
from tests.helpers.comparison_folders import run_folder
from tests.helpers.html_document import parse

NOTE = (
    "Marked oracle: group descriptions used ground-truth labels of the training images; "
    "not an unsupervised result."
)


def settings(correct: int | None, **more: Any) -> dict[str, Any]:
    group = {"use": "group", "size": 4, "correct": correct}
    return {"oracle": correct is not None, "descriptions": [group], **more}


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Compare a method and two oracles."""
    for correct in (None, 1, 4):
        run_folder(tmp_path / f"{correct}", settings=settings(correct))
    return compare_runs([tmp_path])


def test_rows_of_oracles_are_marked_and_the_mark_is_explained(comparison: Comparison) -> None:
    assert [row.labels for row in comparison.rows] == [
        ("oracle", "correct=1"),
        ("oracle", "correct=4"),
        ("correct=null",),
    ]
    assert notes(comparison)[0] == NOTE
    assert NOTE in " ".join(table(comparison).split())


def test_an_oracle_is_marked_where_no_other_run_is_beside_it(tmp_path: Path) -> None:
    run_folder(tmp_path / "0", settings=settings(2))
    (row,) = compare_runs([tmp_path]).rows
    assert row.labels == ("oracle",)


def test_csv_and_json_mark_oracles(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    marked = [row["settings"] for row in rows if row["classifier"] == "adapted"]
    assert marked == ["oracle; correct=1", "oracle; correct=4", "correct=null"]
    data = as_json(comparison)
    assert data["rows"][0]["settings"] == ["oracle", "correct=1"]
    assert NOTE in data["notes"]


def test_the_page_has_mark_and_note(comparison: Comparison) -> None:
    document = parse(page(comparison))
    rows = [row.words for row in document.one("tbody").all("tr")]
    assert all(row.startswith("animals ") for row in rows)
    assert ["oracle correct=" in row for row in rows] == [True, True, False]
    assert NOTE in document.by_id("notes").words


def test_only_the_control_that_is_an_oracle_is_marked(tmp_path: Path) -> None:
    controls = {"upper": {"oracle": True}, "plain": {}}
    folder = run_folder(tmp_path / "0", settings=settings(None, controls=controls))
    run_folder(folder / "controls" / "upper" / "a", settings=settings(4))
    run_folder(folder / "controls" / "plain" / "a", settings=settings(None))
    comparison = compare_runs([tmp_path])
    (row,) = comparison.rows
    assert (row.labels, [*row.controls]) == ((), ["upper (oracle)", "plain"])
    assert NOTE in notes(comparison)


def test_runs_without_labels_have_neither_mark_nor_note(tmp_path: Path) -> None:
    run_folder(tmp_path / "0", settings=settings(None))
    assert "oracle" not in table(compare_runs([tmp_path]))


def test_a_run_from_before_there_were_oracles_is_none(tmp_path: Path) -> None:
    run_folder(tmp_path / "0")
    (row,) = compare_runs([tmp_path]).rows
    assert not row.has_oracle
