"""A guard's verdict in words, first in terminal, page and card."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest

from latte.interfaces import Evaluation, Interval, PresentNames, RunResults, Verdict
from latte.interfaces.guard import Outcome
from latte.report.card import model_card
from latte.report.page.page import run_page
from latte.report.sentences import NO_GUARD, present_sentence, verdict_label, verdict_words
from latte.report.summary import summary_table
from latte.report.terminal import WIDTH
from tests.helpers.html_document import parse
from tests.helpers.report_examples import (
    ADAPTED,
    BEFORE,
    CONTROL,
    ZERO_SHOT,
    evaluation,
    run_results,
)
from tests.helpers.reviews import made_up_review

REASON = "the texts and the groups of images agree"
WHOLE = Verdict(1.0, REASON)
KEPT = Verdict(0.0, REASON)
PART = Verdict(0.4, REASON)
NOT_KNOWN = "is not known: features alone cannot tell."


def judged(folder: Path, verdict: Verdict | None, **changes: object) -> RunResults:
    return replace(run_results(folder, **changes), verdict=verdict)


def unlabelled(folder: Path, verdict: Verdict | None, **changes: object) -> RunResults:
    return judged(folder, verdict, evaluations=(), confusions={}, **changes)


def squashed(text: str) -> str:
    return " ".join(text.split())


class TestOutcome:
    def test_no_outcome_says_that_the_adapted_model_is_better(self) -> None:
        outcomes = ["cannot tell", "kept zero-shot", "cannot tell"]
        assert [one.outcome for one in (WHOLE, KEPT, PART)] == outcomes
        assert {*get_args(Outcome)} == {*outcomes}
        assert [one.adapt for one in (WHOLE, KEPT, PART)] == [True, False, True]

    def test_a_verdict_has_no_probability(self) -> None:
        assert [one.name for one in fields(Verdict)] == ["strength", "reason", "signals"]

    def test_labels_are_short(self) -> None:
        assert verdict_label(KEPT) == "kept zero-shot"
        assert verdict_label(WHOLE) == "cannot tell"
        assert verdict_label(None) == "guard: none"


class TestWords:
    def test_adapted(self, tmp_path: Path) -> None:
        assert verdict_words(unlabelled(tmp_path, WHOLE), "runs/a").lines == (
            f"Adapted. Whether this helps {NOT_KNOWN}",
            "On image sets that nobody had tuned latte to, about one in four adapted folders lost "
            "more than a point of accuracy.",
            "The texts and the groups of images agree.",
            "To measure the gain with a few dozen answers: latte review runs/a",
            "The labels by zero-shot CLIP are in pseudo_labels.csv, column zero_shot.",
        )

    def test_kept(self, tmp_path: Path) -> None:
        assert verdict_words(unlabelled(tmp_path, KEPT), "my runs/a").lines == (
            f"Kept zero-shot CLIP. Whether adapting would help {NOT_KNOWN}",
            "On image sets that nobody had tuned latte to, about one large gain in three was given "
            "up in this way.",
            "The texts and the groups of images agree.",
            "To measure the gain with a few dozen answers: latte review 'my runs/a'",
            "To use the candidate, the adapted model that the guard did not accept: "
            "latte predict 'my runs/a' IMAGES --candidate",
            "To adapt without the guard: latte run 'my runs/a/recipe.yaml' --set guard=null",
        )

    def test_a_command_has_a_line_of_its_own_in_the_terminal(self, tmp_path: Path) -> None:
        run = "adapted/a-long-name-of-a-folder-of-photos-12345678"
        lines = summary_table(unlabelled(tmp_path, KEPT), run).split("\n")
        assert f"  latte run {run}/recipe.yaml --set guard=null" in lines
        assert f"  latte review {run}" in lines

    def test_a_part_says_how_much_and_where_the_whole_is(self, tmp_path: Path) -> None:
        sentence, *_, use, _, _ = verdict_words(unlabelled(tmp_path, PART), "runs/a").lines
        assert sentence == (
            "Adapted in part: zero-shot CLIP and the adapted model are mixed (strength 0.40). "
            f"Whether this helps {NOT_KNOWN}"
        )
        assert "latte predict runs/a IMAGES --candidate" in use

    @pytest.mark.parametrize("verdict", [WHOLE, PART, KEPT])
    def test_labelled_images_that_measure_the_gain_replace_the_doubt(
        self, tmp_path: Path, verdict: Verdict
    ) -> None:
        text = " ".join(verdict_words(judged(tmp_path, verdict), "runs/a").lines)
        assert text.startswith(("Adapted", "Kept zero-shot CLIP. The texts"))
        assert "not known" not in text and "latte review" not in text

    def test_answers_that_the_run_learned_from_are_not_called_features(
        self, tmp_path: Path
    ) -> None:
        learned = unlabelled(tmp_path, WHOLE)
        learned = replace(learned, recipe={**learned.recipe, "corrections": "a/review.jsonl"})
        sentence, reason, measure, _ = verdict_words(learned, "runs/a").lines
        assert (sentence, reason) == ("Adapted.", "The texts and the groups of images agree.")
        assert measure.endswith("latte review runs/a")


@pytest.mark.parametrize("verdict", [WHOLE, KEPT, PART])
class TestPlaces:
    def test_it_is_the_first_line_of_the_summary(self, tmp_path: Path, verdict: Verdict) -> None:
        results = unlabelled(tmp_path, verdict)
        summary = summary_table(results, "runs/a")
        text = squashed(summary)
        assert text.startswith(squashed(" ".join(verdict_words(results, "runs/a").lines)))
        assert all(len(line) <= WIDTH for line in summary.split("\n"))
        assert summary.isascii()

    def test_it_stands_above_the_sections_of_the_page(
        self, tmp_path: Path, verdict: Verdict
    ) -> None:
        results = unlabelled(tmp_path, verdict)
        header = parse(run_page(results)).one("header").words
        for line in verdict_words(results, results.folder.name).lines:
            assert line in header

    def test_it_stands_below_the_title_of_the_card(self, tmp_path: Path, verdict: Verdict) -> None:
        results = unlabelled(tmp_path, verdict)
        start = model_card(results).partition("## Intended use")[0]
        assert f"**{verdict_words(results, 'a').sentence}**" in start
        assert "The texts and the groups of images agree." in start


def test_without_a_guard_page_and_card_say_so_and_the_terminal_nothing(tmp_path: Path) -> None:
    results = unlabelled(tmp_path, None)
    assert NO_GUARD in parse(run_page(results)).one("header").words
    assert NO_GUARD in model_card(results)
    summary = summary_table(results, "runs/a")
    assert "erdict" not in summary
    assert "latte review runs/a" in summary


def test_a_reason_from_outside_cannot_act(tmp_path: Path) -> None:
    hostile = Verdict(0.0, "<script>alert(1)</script> **a**\x1b[31m")
    results = judged(tmp_path, hostile)
    assert "<script>alert" not in run_page(results)
    assert "**a**" not in model_card(results) and "<script>" not in model_card(results)
    assert "\x1b" not in summary_table(results)


class TestKeptZeroShot:
    """A run whose guard kept zero-shot has zero-shot CLIP's accuracy by the guard's decision."""

    def summary(self, folder: Path, *others: Evaluation) -> str:
        kept = evaluation("adapted", BEFORE, Interval(0.0, -0.01, 0.01))
        return squashed(summary_table(judged(folder, KEPT, evaluations=(ZERO_SHOT, kept, *others))))

    def test_headline_names_zero_shot_clip_and_the_candidate(self, tmp_path: Path) -> None:
        candidate = replace(ADAPTED, name="candidate")
        text = self.summary(tmp_path, candidate)
        assert (
            "This run uses zero-shot CLIP: top-1 55.0 % on 400 labelled images (95 % interval 50.0 "
            "to 60.0 %). The candidate reaches 59.5 %: +4.5 points (95 % interval +1.2 to +7.8)."
        ) in text
        assert "The candidate is measurably better: `latte predict --candidate` uses it." in text
        assert "No measurable gain" not in text
        assert "did at least as well" not in text
        card = model_card(judged(tmp_path, KEPT))
        assert "The CLIP that the recipe names, with its class texts as classifier" in card

    def test_a_candidate_is_recommended_only_if_labels_show_a_gain(self, tmp_path: Path) -> None:
        unclear = replace(ADAPTED, name="candidate", gain=Interval(0.02, -0.01, 0.05))
        assert "measurably better" not in self.summary(tmp_path, unclear)

    def test_a_control_is_compared_with_the_candidate(self, tmp_path: Path) -> None:
        assert "did at least as well" not in self.summary(tmp_path, CONTROL)
        worse = replace(CONTROL, name="candidate", top1=ZERO_SHOT.top1)
        assert "did at least as well as the candidate: 57.0" in self.summary(
            tmp_path, worse, CONTROL
        )

    @pytest.mark.parametrize("verdict", [KEPT, WHOLE])
    def test_a_control_that_kept_zero_shot_too_is_no_rival(
        self, tmp_path: Path, verdict: Verdict
    ) -> None:
        worse = evaluation("adapted", (90, 60, 60), Interval(-0.025, -0.05, 0.01))
        main = (worse,) if verdict is WHOLE else (replace(ADAPTED, top1=ZERO_SHOT.top1),)
        others = () if verdict is WHOLE else (replace(worse, name="candidate"),)
        control = replace(evaluation("plain", BEFORE), gain=worse.gain)
        evaluations = (ZERO_SHOT, *main, *others, control)
        assert "did at least as well" not in summary_table(
            judged(tmp_path, verdict, evaluations=evaluations)
        )
        without_guard = judged(tmp_path, None, evaluations=(ZERO_SHOT, worse, control))
        assert "did at least as well" in squashed(summary_table(without_guard))


class TestPresent:
    def test_some_names_are_shown_and_the_others_counted(self) -> None:
        names = tuple(f"name {number}" for number in range(93))
        found = PresentNames(7, 5, 11, names)
        assert present_sentence(found, 100) == (
            "About 7 of 100 classes occur (95 % interval 5 to 11); names that no image clearly "
            "shows: name 0, name 1, name 2 and 90 more"
        )
        assert present_sentence(PresentNames(2, 2, 2, ("a",)), 3) == (
            "About 2 of 3 classes occur (95 % interval 2 to 2); names that no image clearly "
            "shows: a"
        )

    def test_an_interval_wider_than_half_of_the_names_is_left_out(self) -> None:
        assert present_sentence(PresentNames(31, 5, 35, ("a",)), 35) == (
            "About 31 of 35 classes occur; names that no image clearly shows: a"
        )

    def test_names_without_an_image_name_the_task_that_corrects_groups(
        self, tmp_path: Path
    ) -> None:
        results = replace(run_results(tmp_path), present=PresentNames(2, 2, 2, ("fox",)))
        task = made_up_review(tmp_path / "made up", ("a", "b")).queues["clusters"].title
        summary = summary_table(results, "runs/my photos")
        assert f"choose the task \"{task}\" of: latte review 'runs/my photos'" in squashed(summary)
        assert "\nlatte review 'runs/my photos'\n" in f"{summary}\n"
        assert (
            f"latte review {results.folder.name}" in parse(run_page(results)).one("details").words
        )
        long = f"latte review '{'a folder/' * 12}Herbst – {'x' * 90}'"
        assert f"\n{long}\n" in f"{summary_table(results, long[14:-1])}\n"

    def test_the_terminal_says_nothing_where_all_names_occur(self, tmp_path: Path) -> None:
        for present in (None, PresentNames(3, 3, 3, ())):
            results = replace(run_results(tmp_path), present=present)
            assert "classes occur" not in summary_table(results)

    def test_nothing_says_which_classes_occur_among_fewer_than_25_images(
        self, tmp_path: Path
    ) -> None:
        some, every = PresentNames(1, 1, 1, ("dog",)), PresentNames(3, 3, 3, ())
        for present, words in ((some, "1 of 3 classes occur"), (every, "for every class name")):
            results = replace(run_results(tmp_path), present=present, training_images=25)
            few = replace(results, training_images=24)
            for show in (run_page, model_card):
                assert words in show(results)
                assert words not in show(few)
            assert "classes occur" not in summary_table(few)

    def test_page_and_card_show_names_without_an_image(self, tmp_path: Path) -> None:
        names = ("tabby cat", "<b>fox</b>", "c", "last name")
        results = replace(run_results(tmp_path), present=PresentNames(2, 1, 3, names))
        document = parse(run_page(results))
        words = document.by_id("result").words
        assert "names that no image clearly shows: tabby cat, <b>fox</b>, c and 1 more" in words
        assert "last name" in words
        for text in (words, model_card(results), squashed(summary_table(results))):
            assert "only correctly spelt English words" in text
        assert "names that no image clearly shows: tabby cat" in model_card(results)
        assert "<b>" not in model_card(results)
        assert "About 2 of 3 classes occur" in squashed(summary_table(results))

    def test_page_and_card_say_in_a_few_words_that_all_occur(self, tmp_path: Path) -> None:
        results = replace(run_results(tmp_path), present=PresentNames(3, 3, 3, ()))
        for text in (run_page(results), model_card(results)):
            assert "Images were found for every class name." in text
