"""A comparison as text, CSV, LaTeX and page shows the same rows, also with hostile names."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from benchmark_pages import Element, parse
from benchmark_runs import add_control, run_folder
from latte_benchmarks.comparison import Comparison, compare_folders
from latte_benchmarks.page import as_page
from latte_benchmarks.published import Published
from latte_benchmarks.table import (
    COLUMNS,
    COMPARED,
    LATEX_START,
    as_csv,
    as_latex,
    as_text,
    compared_columns,
    escape,
)
from rich.cells import cell_len

HOSTILE = [
    "<script>alert(1)</script>",
    '"; "a,b\n=1+1',
    "\x1b[31mred",
    "猫" * 60,
    "x" * 300,
    r"\input{/etc/passwd}",
    "a & b \\\\ c",
    "50 % _x_ ^2 ~ #1 $y$ {z}",
    "<|>",
    "[1] animals",
    "* animals",
]
TABLE = """\
folder, 1,000 images
method           seeds  zero-shot     adapted  gain (95 % interval)  published
animals              3       60.0  66.0 ± 2.6  +6.0 (-0.7 to +12.7)      70.70
  momentum=0.9
  control plain      1                   62.0   +2.0 (+1.0 to +3.0)
animals              1       60.0        64.0   +4.0 (+2.1 to +5.9)      70.70
  momentum=0.99"""


def published(method: str = "animals", dataset: str = "folder") -> Published:
    return Published("a paper", "one seed", {method: {dataset: 0.707}})


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
            add_control(folder, "plain", 620)
    run_folder(tmp_path / "runs" / "3", right=(600, 640), changed=100)
    return compare_folders([tmp_path / "runs"], published())


def named(comparison: Comparison, text: str) -> Comparison:
    """Return the comparison with `text` in place of every untrusted name."""
    rows = tuple(
        replace(
            row,
            method=text,
            settings=(f"key={text}",),
            shown=(f"key={text}",),
            dataset=replace(row.dataset, name=text),
            model=row.model if row.is_adapted else text,
        )
        for row in comparison.rows
    )
    return replace(comparison, rows=rows, published=replace(published(text, text), source=text))


def opened(comparison: Comparison) -> Element:
    return parse(as_page(comparison))


def latex_cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    return [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]


def test_table_on_the_terminal(comparison: Comparison) -> None:
    assert "\n".join(as_text(comparison, compared_columns(comparison))) == TABLE


def test_without_labels_there_are_dashes(tmp_path: Path) -> None:
    run_folder(tmp_path / "0", right=None)
    comparison = compare_folders([tmp_path])
    lines = as_text(comparison, COMPARED)
    assert lines[0] == "folder, no labelled images"
    assert lines[2].split() == ["animals", "1", "–", "–", "–"]
    assert "zero-shot" in as_latex(comparison)
    assert opened(comparison).all("td")[1].words == "–"


@pytest.mark.parametrize("text", HOSTILE)
def test_any_name_fits_in_80_columns(text: str, comparison: Comparison) -> None:
    hostile = named(comparison, text)
    lines = as_text(hostile, compared_columns(hostile))
    assert max(map(cell_len, lines)) <= 80
    assert not any("\x1b" in line for line in lines)
    assert any("66.0 ± 2.6  +6.0 (-0.7 to +12.7)" in line for line in lines)


def test_csv_has_a_line_for_each_model_with_all_digits(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["settings"], row["model"], row["runs"], row["seeds"]) for row in rows] == [
        ("momentum=0.9", "adapted", "3", "0 1 2"),
        ("momentum=0.9", "control plain", "1", "0 1 2"),
        ("momentum=0.99", "adapted", "1", "0"),
    ]
    adapted = rows[0]
    assert float(adapted["top1"]) == pytest.approx(0.66)
    assert float(adapted["gain_high"]) == pytest.approx(0.1273389, abs=1e-6)
    assert (adapted["zero_shot"], adapted["published_top1"]) == ("0.6", "0.707")
    assert (adapted["seconds"], adapted["peak_memory_mb"]) == ("100.0", "")
    assert rows[2]["top1_deviation"] == ""


@pytest.mark.parametrize("text", HOSTILE)
def test_csv_gives_back_any_name_as_it_is(text: str, comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(named(comparison, text)), newline="")))
    assert len(rows) == 3
    assert {row["method"] for row in rows} == {text}
    assert {row["settings"] for row in rows} == {f"key={text}"}
    assert all(row.keys() == set(COLUMNS) for row in rows)


def test_terminal_page_csv_and_latex_show_the_same_rows(comparison: Comparison) -> None:
    shown = [line for line in TABLE.splitlines()[2:] if "momentum" not in line]
    page = [
        [cell.words for cell in row.all("td")]
        for row in opened(comparison).all("tbody")[0].all("tr")
    ]
    lines = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    for text, cells, line in zip(shown, page, lines, strict=True):
        words = " ".join(cells).replace("\u2212", "-").split()
        assert text.split()[-len(words) :] == words
        assert f"{100 * float(line['top1']):.1f}" in text
    adapted = [row[1] for row in latex_cells(as_latex(comparison)) if row[0].startswith("animals")]
    assert adapted == [r"\textbf{66.0 $\pm$ 2.6}", "64.0"]


def test_latex_has_methods_by_datasets_and_averages(tmp_path: Path) -> None:
    for dataset, right in (("dtd", 640), ("pets", 700)):
        for seed in (0, 1):
            settings = {"name": f"flyp-{dataset}", "seed": seed, "dataset": {"use": dataset}}
            run_folder(
                tmp_path / f"{dataset}-{seed}", right=(600, right + 10 * seed), settings=settings
            )
    run_folder(tmp_path / "o", right=(600, 650), settings={"dataset": {"use": "dtd"}})
    comparison = compare_folders([tmp_path], Published("x", "", {"flyp": {"dtd": 0.6512}}))
    names = {"flyp": "FLYP", "dtd": "DTD & co"}
    text = as_latex(comparison.renamed(names))
    assert text.startswith(f"{LATEX_START}\n% It needs \\usepackage{{booktabs}}.")
    assert [line for line in text.splitlines() if "{tabular}" in line or "rule" in line] == [
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert latex_cells(text) == [
        ["method", r"DTD \& co", "pets", "average"],
        ["zero-shot", "60.0", "60.0", "60.0"],
        ["animals", r"\textbf{65.0}", "--", "--"],
        ["FLYP", r"64.5 $\pm$ 0.7", r"\textbf{70.5 $\pm$ 0.7}", r"\textbf{67.5 $\pm$ 0.5}"],
        [r"\quad published", "65.12", "--", "--"],
    ]
    overview = opened(comparison).by_id("overview").words
    assert "flyp 64.5 ± 0.7 +4.5 70.5 ± 0.7 +10.5 67.5 ± 0.5 +7.5" in overview


def test_no_path_is_in_a_cell_of_latex(tmp_path: Path) -> None:
    for number in range(2):
        dataset = {"use": "folder", "root": f"/home/me/photos {number}"}
        run_folder(tmp_path / f"{number}", settings={"dataset": dataset, "seed": number})
    rows = [
        line for line in as_latex(compare_folders([tmp_path])).splitlines() if "animals" in line
    ]
    assert len(rows) == 2
    assert not any("/" in row for row in rows)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_name_stays_in_its_cell_of_latex(text: str, comparison: Comparison) -> None:
    latex = as_latex(named(comparison, text))
    cells = latex_cells(latex)
    assert {len(row) for row in cells} == {2}
    assert not [row for row in cells if row[0][0] in "[*"], "an argument of the row before"
    assert "\x1b" not in latex
    commands = [line for line in latex.splitlines() if not line.endswith(r"\\") and line[0] != "%"]
    assert commands == [
        *(r"\begin{tabular}{lr}", r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"),
    ]


def test_special_characters_are_escaped() -> None:
    assert escape(r"a\b&c_d") == r"a\textbackslash{}b\&c\_d"
    assert escape("x < −0.5 ± 1 %") == r"x $<$ $-$0.5 $\pm$ 1 \%"
    assert escape("latte-clip 0-1") == "latte-clip 0-1"


def test_the_chart_has_a_dot_per_model_and_seed(comparison: Comparison) -> None:
    (chart,) = opened(comparison).all("svg")
    assert len(chart.all("circle", "adapted")) == 2
    assert len(chart.all("circle", "seed")) == 3
    assert len(chart.all("line", "whisker")) == 3
    assert len(chart.all("line", "reference")) == 1


def test_the_page_needs_nothing_else(comparison: Comparison) -> None:
    text = as_page(comparison)
    document = parse(text)
    assert "http://" not in text
    assert "https://" not in text
    assert not [*document.all("link"), *document.all("img"), *document.all("script")]
    policies = [meta.attributes.get("content", "") for meta in document.all("meta")]
    assert any("default-src 'none'" in text and "script-src" not in text for text in policies)
    assert document.all("meta")[0].attributes["charset"] == "utf-8"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_shows_any_name_as_text(text: str, comparison: Comparison) -> None:
    document = opened(named(comparison, text))
    assert not document.all("script")
    assert "\x1b" not in document.words
    assert len(document.all("tbody")[-1].all("tr")) == 3
