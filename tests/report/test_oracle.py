"""The mark of results that used labels of the training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from latte.report.page.gallery import gallery
from latte.report.statements import details, label_use
from latte.results.oracle import ORACLE_STATEMENT
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
    assert [statement.text for statement in label_use(recipe)] == [start + ORACLE_STATEMENT]


@pytest.mark.parametrize("recipe", [{}, {"oracle": False, "controls": {"a": {}}}])
def test_results_without_labels_have_no_note(recipe: dict[str, Any]) -> None:
    assert not label_use(recipe)


def test_an_oracle_is_the_first_statement(tmp_path: Path) -> None:
    statement = details(run_results(tmp_path, recipe={"oracle": True}))[0]
    assert (statement.kind, statement.text) == ("label-use", f"Oracle: {ORACLE_STATEMENT}")
    assert not [stated for stated in details(run_results(tmp_path)) if stated.kind == "label-use"]


def test_the_gallery_does_not_say_that_labels_reached_nothing(tmp_path: Path) -> None:
    audits = [
        gallery(run_results(tmp_path, recipe={"oracle": oracle}), 3, 32)["audit"] or ""
        for oracle in (False, True)
    ]
    assert "true labels reach no training: of" in audits[0]
    assert "true labels chose groups and nothing else here: of" in audits[1]


def test_corrections_do_not_hide_the_mark_of_an_oracle() -> None:
    oracle, corrected = label_use({"oracle": True, "corrections": "review.jsonl"})
    assert ORACLE_STATEMENT in oracle.text
    assert corrected.text == "Corrected: labels that a person gave were used, from review.jsonl."
