"""Comparisons as text, CSV, JSON and HTML, also with hostile names."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from latte.report.comparison.comparison import Comparison, compare_runs, dataset_titles
from latte.report.comparison.output import COLUMNS, as_csv, as_json, as_latex, escape, table
from latte.report.comparison.page import page
from latte.report.comparison.table import table_lines
from latte.report.terminal import WIDTH, plain
from tests.helpers.comparison_folders import run_folder, write
from tests.helpers.html_document import Element, parse
from tests.helpers.snapshots import assert_snapshot, outline

pytestmark = pytest.mark.thorough

HOSTILE = ["<script>alert(1)</script>", '"; "a,b\n=1+1', "\x1b[31mred", "猫" * 60, "x" * 300]


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Compare three seeds of a recipe, a control, one seed of another, and a published number."""
    for seed, right in enumerate((640, 650, 690)):
        settings = {
            "seed": seed,
            "prototypes": {"use": "momentum", "momentum": 0.9},
            **({"controls": {"plain": {}}} if seed == 0 else {}),
        }
        folder = run_folder(tmp_path / "runs" / f"{seed}", right=(600, right), settings=settings)
        if seed == 0:
            run_folder(folder / "controls" / "plain" / "a", right=(600, 620), changed=20)
    run_folder(tmp_path / "runs" / "3", right=(600, 640), changed=100)
    write(tmp_path / "published.yaml", "source: a paper\nrows: {animals: {folder: 70.7}}\n")
    return compare_runs([tmp_path / "runs"], tmp_path / "published.yaml")


def named(comparison: Comparison, text: str) -> Comparison:
    """Return the comparison with `text` in place of every untrusted name."""
    published = comparison.published
    assert published is not None
    rows = tuple(
        replace(
            row,
            method=text,
            labels=(f"key={text}",),
            data=replace(row.data, name=text),
            controls=dict(zip([text], row.controls.values(), strict=False)),
        )
        for row in comparison.rows
    )
    return replace(comparison, rows=rows, published=replace(published, source=text, note=text))


def test_snapshot_of_the_table(comparison: Comparison) -> None:
    assert_snapshot("comparison.txt", table(comparison))


def test_without_labels_there_are_dashes(tmp_path: Path) -> None:
    run_folder(tmp_path / "0", right=None)
    lines = table(compare_runs([tmp_path])).splitlines()
    assert lines[0] == "folder, no labelled images"
    assert lines[2].split() == ["animals", "1", "–", "–", "–"]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_name_fits_in_80_columns(text: str, comparison: Comparison) -> None:
    lines = table(named(comparison, text)).split("\n")
    assert max(map(cell_len, lines)) <= WIDTH
    assert not any("\x1b" in line for line in lines)
    assert any("66.0 ± 2.6  +6.0 (-0.7 to +12.7)" in line for line in lines)


def test_csv_has_a_line_for_each_classifier_with_all_digits(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["settings"], row["classifier"], row["runs"], row["seeds"]) for row in rows] == [
        ("momentum=0.9", "zero-shot", "3", "0 1 2"),
        ("momentum=0.9", "adapted", "3", "0 1 2"),
        ("momentum=0.9", "control plain", "1", "0 1 2"),
        ("momentum=0.99", "zero-shot", "1", "0"),
        ("momentum=0.99", "adapted", "1", "0"),
    ]
    adapted = rows[1]
    assert float(adapted["top1"]) == pytest.approx(0.66)
    assert float(adapted["gain_high"]) == pytest.approx(0.1273620, abs=1e-6)
    assert (adapted["gain_over"], adapted["published_top1"]) == ("seeds and images", "0.707")
    assert (adapted["seconds"], adapted["peak_memory_mb"]) == ("100.0", "")
    assert rows[4]["top1_deviation"] == ""


@pytest.mark.parametrize("text", HOSTILE)
def test_csv_gives_back_any_name_as_it_is(text: str, comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(named(comparison, text)), newline="")))
    assert len(rows) == 5
    assert {row["method"] for row in rows} == {text}
    assert {row["settings"] for row in rows} == {f"key={text}"}
    assert all(row.keys() == set(COLUMNS) for row in rows)


def test_json_has_everything(comparison: Comparison) -> None:
    data = json.loads(json.dumps(as_json(comparison)))
    first, second = data["rows"]
    assert first["dataset"]["name"] == "folder"
    assert first["adapted"]["gain_over"] == "seeds and images"
    assert first["controls"]["plain"]["top1"] == pytest.approx(0.62)
    assert first["seconds"]["train"] == 60.0
    assert len(first["folders"]) == 3
    assert second["adapted"]["top1_deviation"] is None
    assert data["published"]["source"] == "a paper"
    assert data["skipped"] == []
    assert len(data["notes"]) == 4
    assert [row["verdict"] for row in data["rows"]] == ["guard: none"] * 2


def test_terminal_latex_and_page_show_the_same_table(comparison: Comparison) -> None:
    (digest,) = dataset_titles(comparison.rows)
    shown = plain(table(comparison)).splitlines()
    latex = as_latex(comparison).splitlines()
    rows = [*opened(comparison).one("tbody").all("tr")]
    for line, row in zip(table_lines(comparison, digest), rows, strict=True):
        assert [cell.words for cell in row.all("td")] == [*line.numbers]
        assert any(line.name in text and plain(line.numbers[-2]) in text for text in shown)
        assert any(all(escape(one) in text for one in line.numbers) for text in latex)


def opened(comparison: Comparison) -> Element:
    return parse(page(comparison))


def test_snapshot_of_the_page(comparison: Comparison) -> None:
    assert_snapshot("comparison_page.txt", outline(opened(comparison)))


def test_the_chart_has_a_dot_per_method_and_seed(comparison: Comparison) -> None:
    chart = opened(comparison).one("svg")
    assert len([*chart.all("circle", "adapted")]) == 2
    assert len([*chart.all("circle", "seed")]) == 3
    assert len([*chart.all("line", "whisker")]) == 3
    assert len([*chart.all("line", "reference")]) == 1


def test_the_page_needs_nothing_else(comparison: Comparison) -> None:
    text = page(comparison)
    document = parse(text)
    policy = document.one("meta", None)
    assert "http://" not in text
    assert "https://" not in text
    assert not [*document.all("link"), *document.all("img")]
    policies = [one.attributes.get("content", "") for one in document.all("meta")]
    assert not [*document.all("script")]
    assert any("default-src 'none'" in one and "script-src" not in one for one in policies)
    assert policy.attributes["charset"] == "utf-8"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_shows_any_name_as_text(text: str, comparison: Comparison) -> None:
    document = opened(named(comparison, text))
    assert not [*document.all("script")]
    assert "\x1b" not in document.text
    assert len([*document.one("tbody").all("tr")]) == 3


def test_the_page_says_what_is_not_in_the_table(tmp_path: Path) -> None:
    run_folder(tmp_path / "good")
    run_folder(tmp_path / "bad", stages=())
    notes = opened(compare_runs([tmp_path])).by_id("notes").words
    assert f"{tmp_path / 'bad'} : this run is not finished" in notes
