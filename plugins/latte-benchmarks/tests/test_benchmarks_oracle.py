"""Runs that used labels are marked in every form of the comparison."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from benchmark_pages import parse
from benchmark_runs import add_control, run_folder
from latte_benchmarks.comparison import ORACLE_NOTE, Comparison, compare_folders, notes
from latte_benchmarks.page import as_page
from latte_benchmarks.table import COMPARED, as_csv, as_latex, as_text


def settings(correct: int | None, **more_settings: Any) -> dict[str, Any]:
    group = {"use": "group", "size": 4, "correct": correct}
    return {"oracle": correct is not None, "descriptions": [group], **more_settings}


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Compare a method and two oracles."""
    for correct in (None, 1, 4):
        run_folder(tmp_path / f"{correct}", settings=settings(correct))
    return compare_folders([tmp_path])


def test_rows_of_oracles_are_marked_and_the_mark_is_explained(comparison: Comparison) -> None:
    assert [row.settings for row in comparison.rows] == [
        ("oracle", "correct=1"),
        ("oracle", "correct=4"),
        ("correct=null",),
    ]
    assert notes(comparison)[0] == ORACLE_NOTE
    assert any("oracle" in line for line in as_text(comparison, COMPARED))


def test_an_oracle_is_marked_where_no_other_run_is_beside_it(tmp_path: Path) -> None:
    run_folder(tmp_path / "0", settings=settings(2))
    (row,) = compare_folders([tmp_path]).rows
    assert row.settings == ("oracle",)


def test_csv_and_latex_mark_oracles(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    marked = [row["settings"] for row in rows if row["model"] == "adapted"]
    assert marked == ["oracle; correct=1", "oracle; correct=4", "correct=null"]
    latex = as_latex(comparison).splitlines()
    assert sum(line.startswith("animals oracle correct=") for line in latex) == 2
    assert f"% {ORACLE_NOTE}" in latex


def test_the_page_has_mark_and_note(comparison: Comparison) -> None:
    document = parse(as_page(comparison))
    rows = [row.words for row in document.all("tbody")[0].all("tr")]
    assert all(row.startswith("animals ") for row in rows)
    assert ["oracle correct=" in row for row in rows] == [True, True, False]
    assert ORACLE_NOTE in document.by_id("notes").words


def test_only_the_control_that_is_an_oracle_is_marked(tmp_path: Path) -> None:
    controls = {"upper": {"oracle": True}, "plain": {}}
    folder = run_folder(tmp_path / "0", settings=settings(None, controls=controls))
    add_control(folder, "plain", 640)
    add_control(folder, "upper", 660)
    comparison = compare_folders([tmp_path])
    assert [(row.settings, row.model) for row in comparison.rows] == [
        ((), "adapted"),
        ((), "control plain"),
        ((), "control upper (oracle)"),
    ]
    assert ORACLE_NOTE in notes(comparison)


def test_runs_without_labels_have_neither_mark_nor_note(tmp_path: Path) -> None:
    run_folder(tmp_path / "0", settings=settings(None))
    comparison = compare_folders([tmp_path])
    assert "oracle" not in " ".join([*as_text(comparison, COMPARED), *notes(comparison)])
