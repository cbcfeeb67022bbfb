"""What a guard said comes first, in words: terminal, page and card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from latte.interfaces import PresentNames, RunResults, Verdict
from latte.report.card import model_card
from latte.report.page.page import run_page
from latte.report.sentences import present_sentence, verdict_label, verdict_words
from latte.report.terminal import WIDTH, summary_lines
from tests.helpers.html_document import parse
from tests.helpers.report_examples import (
    ADAPTED,
    BEFORE,
    CONTROL,
    ZERO_SHOT,
    evaluation,
    run_results,
)

REASON = "the texts and the groups of images agree"
BETTER = Verdict(1.0, REASON, 0.93)
UNSURE = Verdict(1.0, REASON, 0.62)
KEPT = Verdict(0.0, REASON, 0.41)
PART = Verdict(0.4, REASON, 0.85)


def judged(folder: Path, verdict: Verdict | None, **changes: object) -> RunResults:
    return replace(run_results(folder, **changes), verdict=verdict)


def squashed(text: str) -> str:
    return " ".join(text.split())


class TestOutcome:
    def test_strength_and_probability_decide(self) -> None:
        assert [one.outcome for one in (BETTER, UNSURE, KEPT, PART)] == [
            *("likely better", "cannot tell", "kept zero-shot", "likely better")
        ]
        assert Verdict(1.0, REASON, 0.8).outcome == "likely better"
        assert Verdict(1.0, REASON).outcome == "likely better"
        assert Verdict(0.0, REASON, 0.99).outcome == "kept zero-shot"
        assert [one.adapt for one in (BETTER, KEPT, PART)] == [True, False, True]

    def test_labels_are_short(self) -> None:
        assert verdict_label(KEPT) == "kept zero-shot (0.41)"
        assert verdict_label(Verdict(1.0, REASON)) == "likely better"
        assert verdict_label(None) == "guard: none"


class TestWords:
    def test_likely_better(self, tmp_path: Path) -> None:
        words = verdict_words(judged(tmp_path, BETTER), "runs/a")
        assert words.lines == (
            "Adapted: likely better than plain CLIP on images like these (probability 0.93).",
            "The texts and the groups of images agree.",
        )

    def test_cannot_tell(self, tmp_path: Path) -> None:
        sentence, reason, advice = verdict_words(judged(tmp_path, UNSURE), "runs/a").lines
        assert sentence == "Adapted, but cannot tell whether it helps (probability 0.62)."
        assert reason == "The texts and the groups of images agree."
        assert advice == (
            "What plain CLIP says of your images is in pseudo_labels.csv, column zero_shot."
        )

    def test_kept(self, tmp_path: Path) -> None:
        sentence, _, advice = verdict_words(judged(tmp_path, KEPT), "runs/a").lines
        assert sentence == (
            "Kept plain CLIP: the evidence that adapting helps is too weak (probability 0.41)."
        )
        assert advice == (
            "To adapt anyway, add --set guard=null to the command of this run; the rejected "
            "classifier is in runs/a/candidate (latte predict runs/a IMAGES --candidate)."
        )

    def test_a_part_says_how_much_and_where_the_whole_is(self, tmp_path: Path) -> None:
        sentence, _, advice = verdict_words(judged(tmp_path, PART), "runs/a").lines
        assert sentence.startswith("Adapted in part (strength 0.40): likely better")
        assert "latte predict runs/a IMAGES --candidate" in advice

    def test_without_a_probability_none_is_shown(self, tmp_path: Path) -> None:
        words = verdict_words(judged(tmp_path, Verdict(1.0, REASON)), "runs/a")
        assert words.sentence.endswith("on images like these.")


@pytest.mark.parametrize("verdict", [BETTER, UNSURE, KEPT, PART])
class TestPlaces:
    def test_it_is_the_first_line_of_the_summary(self, tmp_path: Path, verdict: Verdict) -> None:
        results = judged(tmp_path, verdict)
        lines = summary_lines(results, "runs/a")
        text = squashed(" ".join(lines))
        assert text.startswith(squashed(" ".join(verdict_words(results, "runs/a").lines)))
        assert all(len(line) <= WIDTH for line in lines)
        assert "\n".join(lines).isascii()

    def test_it_stands_above_the_sections_of_the_page(
        self, tmp_path: Path, verdict: Verdict
    ) -> None:
        results = judged(tmp_path, verdict)
        header = parse(run_page(results)).one("header").words
        for line in verdict_words(results, results.folder.name).lines:
            assert line in header

    def test_it_stands_below_the_title_of_the_card(self, tmp_path: Path, verdict: Verdict) -> None:
        results = judged(tmp_path, verdict)
        start = model_card(results).partition("## Intended use")[0]
        assert f"**{verdict_words(results, 'a').sentence}**" in start
        assert "The texts and the groups of images agree." in start


def test_without_a_guard_page_and_card_say_so_and_the_terminal_nothing(tmp_path: Path) -> None:
    results = judged(tmp_path, None)
    note = "No verdict: this recipe has no guard."
    assert note in parse(run_page(results)).one("header").words
    assert note in model_card(results)
    assert "erdict" not in " ".join(summary_lines(results))


def test_a_reason_from_outside_cannot_act(tmp_path: Path) -> None:
    hostile = Verdict(0.0, "<script>alert(1)</script> **a**\x1b[31m")
    results = judged(tmp_path, hostile)
    assert "<script>alert" not in run_page(results)
    assert "**a**" not in model_card(results) and "<script>" not in model_card(results)
    assert "\x1b" not in "".join(summary_lines(results))


def test_a_candidate_is_no_control(tmp_path: Path) -> None:
    better = replace(evaluation("candidate", (190, 110, 70)), gain=CONTROL.gain)
    same = replace(evaluation("adapted", BEFORE), gain=ADAPTED.gain)
    results = judged(tmp_path, KEPT, evaluations=(ZERO_SHOT, same, better))
    text = squashed(" ".join(summary_lines(results)))
    assert "candidate" in text
    assert "did at least as well" not in text


class TestPresent:
    def test_some_names_are_shown_and_the_others_counted(self) -> None:
        names = tuple(f"name {number}" for number in range(93))
        found = PresentNames(7, 5, 11, names)
        assert present_sentence(found, 100) == (
            "About 7 of 100 names occur (95 %: 5 to 11); no image supports: name 0, name 1, name 2 "
            "and 90 more"
        )
        assert present_sentence(PresentNames(2, 2, 2, ("a",)), 3) == (
            "About 2 of 3 names occur (95 %: 2 to 2); no image supports: a"
        )

    def test_the_terminal_says_nothing_where_all_names_occur(self, tmp_path: Path) -> None:
        for present in (None, PresentNames(3, 3, 3, ())):
            results = replace(run_results(tmp_path), present=present)
            assert "names occur" not in " ".join(summary_lines(results))

    def test_page_and_card_show_names_without_an_image(self, tmp_path: Path) -> None:
        names = ("tabby cat", "<b>fox</b>", "c", "last name")
        results = replace(run_results(tmp_path), present=PresentNames(2, 1, 3, names))
        document = parse(run_page(results))
        words = document.by_id("result").words
        assert "no image supports: tabby cat, <b>fox</b>, c and 1 more" in words
        assert "last name" in words
        assert "no image supports: tabby cat" in model_card(results)
        assert "<b>" not in model_card(results)
        assert "About 2 of 3 names occur" in squashed(" ".join(summary_lines(results)))

    def test_page_and_card_say_in_a_few_words_that_all_occur(self, tmp_path: Path) -> None:
        results = replace(run_results(tmp_path), present=PresentNames(3, 3, 3, ()))
        for text in (run_page(results), model_card(results)):
            assert "Every class name has an image that supports it." in text
