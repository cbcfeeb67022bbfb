"""Tables and summaries in a terminal of 80 columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from latte.interfaces import ClassAccuracy, Interval
from latte.io.redaction import one_line
from latte.report.summary import cost_line, summary_table
from latte.report.terminal import WIDTH, drawn, fitted, paragraph, table
from tests.helpers.report_examples import ADAPTED, CONTROL, ZERO_SHOT, remeasured, run_results, top1
from tests.helpers.snapshots import assert_snapshot

HOSTILE = ("x" * 300, "猫" * 50, "e\u0301" * 30, "\x1b[31mred\nline", "[bold]a[/bold] :smile:")


def test_snapshot_of_the_summary(tmp_path: Path) -> None:
    assert_snapshot("summary.txt", summary_table(run_results(tmp_path, recipe={"oracle": True})))


def test_without_labels_there_is_no_table(tmp_path: Path) -> None:
    text = summary_table(run_results(tmp_path, models=()))
    assert "The accuracy is unknown" in text
    assert "top-1" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_fits_in_80_columns(name: str, tmp_path: Path) -> None:
    odd = remeasured(
        replace(CONTROL, name=name),
        images=1_000_000,
        classes=(ClassAccuracy(0, 1_000_000),),
        gain=Interval(-0.5, -0.999, 0.999),
    )
    text = summary_table(run_results(tmp_path, models=(ZERO_SHOT, ADAPTED, odd)))
    assert all(cell_len(line) <= WIDTH for line in text.split("\n"))
    assert "\x1b" not in text
    assert "-50.0 (-99.9 to +99.9)" in text
    if "[" in name:
        assert name.split()[0].removeprefix("\x1b") in text


def test_nothing_but_names_needs_more_than_ascii(tmp_path: Path) -> None:
    rival = remeasured(CONTROL, top1=top1(ADAPTED))
    for models in ((), (ZERO_SHOT, ADAPTED), (ZERO_SHOT, ADAPTED, rival)):
        assert summary_table(run_results(tmp_path, models=models)).isascii()


@pytest.mark.parametrize("text", HOSTILE)
def test_paragraphs_and_tables_lose_no_character(text: str) -> None:
    shown = one_line(text)
    for lines in (paragraph(text), table(("", ""), [[shown, "#"]])):
        assert max(map(cell_len, lines)) <= WIDTH
        assert "".join(shown.split()) == "".join("".join(lines).replace("#", "").split())


def test_cost_line_has_what_is_known(tmp_path: Path) -> None:
    results = run_results(tmp_path, peak_memory_mb={"describe": 900.4, "train": 1604.4})
    assert cost_line(results, 6060) == "time: 1 h 41 min; peak memory: 1.6 GiB, in stage train"
    assert cost_line(run_results(tmp_path, peak_memory_mb={}), 6060) == "time: 1 h 41 min"


@pytest.mark.parametrize("columns", [30, 40, 60, 80])
def test_narrow_terminals_break_no_word(
    columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    wide = summary_table(run_results(tmp_path))
    rows = [("dataset", "oxford-pets", "names from a list"), ("guard", "evidence", "estimates")]
    monkeypatch.setenv("COLUMNS", str(columns))
    prose = drawn(fitted(("kind", "name", "summary"), rows))
    lines = [*summary_table(run_results(tmp_path)).splitlines(), *prose]
    assert max(map(cell_len, lines)) <= columns
    allowed_lines = set(
        f"{wide} {rows} kind name summary".translate(str.maketrans("',()[]:", "       ")).split()
    )
    shown = " ".join(lines).translate(str.maketrans("',()[]:", "       ")).split()
    assert set(shown) <= allowed_lines


def test_a_row_that_does_not_fit_becomes_a_paragraph(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["zero-shot", "41.0", ""], ["adapted", "45.5", "+4.5 (+2.2 to +6.8)"]]
    monkeypatch.setenv("COLUMNS", "30")
    assert table(("", "top-1 %", "gain (95 % interval)"), rows) == [
        "zero-shot",
        "    top-1 %: 41.0",
        "adapted",
        "    top-1 %: 45.5",
        "    gain (95 % interval): +4.5",
        "    (+2.2 to +6.8)",
    ]
