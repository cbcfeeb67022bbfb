"""Comparisons as LaTeX: the numbers of the terminal's table, also with hostile names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from latte.report.comparison.comparison import Comparison, compare_runs
from latte.report.comparison.output import LATEX_START, as_latex, escape
from tests.helpers.comparison_folders import run_folder, write

pytestmark = pytest.mark.thorough

HOSTILE = [
    r"\input{/etc/passwd}",
    "a & b \\\\ c",
    "50 % _x_ ^2 ~ #1 $y$ {z}",
    "a\nb\x1b[31m",
    "<|>",
    "[1] animals",
    "* animals",
]


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Compare two seeds of a recipe that loses, with a control, and a published number."""
    for seed, right in enumerate((550, 560)):
        settings = {"seed": seed, **({"controls": {"plain": {}}} if seed == 0 else {})}
        folder = run_folder(
            tmp_path / "runs" / f"{seed}", right=(600, right), changed=100, settings=settings
        )
        if seed == 0:
            run_folder(folder / "controls" / "plain" / "a", right=(600, 620), changed=20)
    write(tmp_path / "published.yaml", "source: a paper\nrows: {animals: {folder: 70.7}}\n")
    return compare_runs([tmp_path / "runs"], tmp_path / "published.yaml")


def body(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.endswith(r"\\")]


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))


def test_tabular_has_the_numbers_of_the_table(comparison: Comparison) -> None:
    text = as_latex(comparison)
    assert text.startswith(LATEX_START)
    assert text.count(r"\begin{tabular}{lrrrrr}") == text.count(r"\end{tabular}") == 1
    heading, adapted, control = map(cells, body(text))
    assert heading[-2:] == [r"gain (95 \% interval)", "published"]
    assert adapted[:4] == ["animals", "2", "60.0", r"55.5 $\pm$ 0.7"]
    assert adapted[4].startswith("$-$4.5 ($-$")
    assert adapted[5] == "70.70"
    assert control[0] == r"\quad control plain"
    assert len(control) == 6


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_stays_in_its_cell(name: str, comparison: Comparison) -> None:
    rows = tuple(
        replace(row, method=name, data=replace(row.data, name=name)) for row in comparison.rows
    )
    text = as_latex(replace(comparison, rows=rows))
    lines = body(text)
    assert len(lines) == 3
    assert {len(cells(line)) for line in lines} == {6}
    assert not [line for line in lines if line[0] in "[*"], "an argument of the row before"
    assert "\x1b" not in text
    outside = [line for line in text.splitlines() if line not in lines and line[:1] != "%"]
    assert {*outside} == {"", r"\hline", r"\begin{tabular}{lrrrrr}", r"\end{tabular}"}


def test_special_characters_are_escaped() -> None:
    assert escape(r"a\b&c_d") == r"a\textbackslash{}b\&c\_d"
    assert escape("x < -0.5 ± 1 %") == r"x $<$ $-$0.5 $\pm$ 1 \%"
    assert escape("latte-clip 0-1") == "latte-clip 0-1"
