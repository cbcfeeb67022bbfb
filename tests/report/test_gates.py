"""Gates in page and model card."""

from __future__ import annotations

from pathlib import Path

from latte.interfaces import HeldBack
from latte.report.card import model_card
from latte.report.facts import gate_facts
from latte.report.numbers import NARROW_SPACE
from latte.report.page.page import run_page
from tests.helpers.html_document import parse
from tests.helpers.report_examples import run_results

HOSTILE = "<script>alert(1)</script>\x00\ud800\nlines | **bold**"
RECORDS = (
    HeldBack("image", "refusal", 1200, 30, "it says `as an ai`", "As an AI, no."),
    HeldBack("image", "markup", 1200, 3, f"it has the tag `{HOSTILE}`", HOSTILE),
    HeldBack("group", "refusal", 1, 0),
    HeldBack("empty", "refusal", 0, 0),
)


def test_the_table_has_a_row_for_each_gate_and_description(tmp_path: Path) -> None:
    results = run_results(tmp_path, held_back=RECORDS)
    section = parse(run_page(results)).by_id("gates")
    rows = [[cell.words for cell in row.all("td")] for row in section.all("tr")]
    assert [row[:3] for row in rows[1:]] == [
        ["refusal", "30 of 1,200", "2.5 %"],
        ["markup", "3 of 1,200", "0.2 %"],
        ["refusal", "0 of 1", "0 %"],
        ["refusal", "0 of 0", ""],
    ]
    assert rows[1][3] == "As an AI, no. it says `as an ai`"
    assert rows[3][3] == ""
    assert not [*section.all("script")]


def test_without_gates_there_is_no_section(tmp_path: Path) -> None:
    text = run_page(run_results(tmp_path))
    assert 'id="gates"' not in text
    assert "#gates" not in text
    assert "Held back" not in model_card(run_results(tmp_path))


def test_the_card_counts_held_back_texts_by_gate(tmp_path: Path) -> None:
    text = model_card(run_results(tmp_path, held_back=RECORDS)).replace(NARROW_SPACE, " ")
    assert "Held back of image: 33 of 1,200 texts (refusal 30, markup 3)" in text
    assert "Held back of group: none of 1 text\n" in text
    assert "<script>" not in text


def test_facts_are_single_printable_lines() -> None:
    texts = [text for fact in gate_facts(RECORDS) for text in fact]
    assert all(len(text.splitlines()) == 1 for text in texts)
    assert "".join(texts).encode("utf-8")
