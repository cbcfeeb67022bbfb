"""The mark of results that used labels of the training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from latte.report.page.gallery import gallery
from latte.report.page.page import run_page
from latte.report.sentences import ORACLE_STATEMENT, oracle_note
from tests.helpers.html_document import parse
from tests.helpers.report_examples import run_results


@pytest.mark.parametrize(
    ("recipe", "start"),
    [
        ({"oracle": True}, "Oracle: "),
        ({"oracle": True, "controls": {"a": {}}}, "Oracle: "),
        ({"oracle": True, "controls": {"a": {"oracle": False}}}, "Oracle (adapted): "),
        ({"oracle": False, "controls": {"a": {"oracle": True}, "b": {}}}, "Oracle (a): "),
        ({"controls": {"a\n": {"oracle": True}}, "oracle": True}, "Oracle: "),
        ({"controls": {"a\nb": {"oracle": True}}}, "Oracle (a b): "),
    ],
)
def test_the_note_names_the_oracles_unless_all_are(recipe: dict[str, Any], start: str) -> None:
    assert oracle_note(recipe) == start + ORACLE_STATEMENT


@pytest.mark.parametrize("recipe", [{}, {"oracle": False, "controls": {"a": {}}}])
def test_results_without_labels_have_no_note(recipe: dict[str, Any]) -> None:
    assert oracle_note(recipe) is None


def test_the_page_says_it_in_its_header(tmp_path: Path) -> None:
    header = parse(run_page(run_results(tmp_path, recipe={"oracle": True})))
    assert header.one("header").one("p", "oracle").words == f"Oracle: {ORACLE_STATEMENT}"
    ordinary = parse(run_page(run_results(tmp_path)))
    assert not list(ordinary.all("p", "oracle"))


def test_the_gallery_does_not_say_that_labels_reached_nothing(tmp_path: Path) -> None:
    said = [
        gallery(run_results(tmp_path, recipe={"oracle": oracle}), 3, 32)["audit"] or ""
        for oracle in (False, True)
    ]
    assert "true labels reach no training: of" in said[0]
    assert "true labels chose groups and nothing else here: of" in said[1]


def test_corrections_do_not_hide_the_mark_of_an_oracle() -> None:
    note = oracle_note({"oracle": True, "corrections": "review.jsonl"})
    assert note is not None
    assert "Corrected: " in note
    assert ORACLE_STATEMENT in note
