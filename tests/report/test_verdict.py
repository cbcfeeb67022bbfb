"""Statements on a guard's verdict."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest

from latte.interfaces import Interval, RunModel, RunResults, Verdict
from latte.interfaces.answer_facts import AnswerFacts
from latte.interfaces.guard import Outcome
from latte.report.card import model_card
from latte.report.page.page import run_page
from latte.report.statements import details
from latte.report.summary import summary_table
from latte.report.terminal import WIDTH
from latte.report.verdict import NO_GUARD
from tests.helpers.html_document import parse
from tests.helpers.one_line import squashed
from tests.helpers.report_examples import (
    ADAPTED,
    BEFORE,
    CLASSES,
    CONTROL,
    ZERO_SHOT,
    changed,
    remeasured,
    run_model,
    run_results,
    top1,
)
from tests.helpers.reviews import answer_all, made_up_review

pytestmark = pytest.mark.usefixtures("folder_above_the_run")

REASON = "the texts and the groups of images agree"
WHOLE = Verdict(1.0, REASON)
KEPT = Verdict(0.0, REASON)
PART = Verdict(0.4, REASON)
UNKNOWN = replace(KEPT, names_known=False)
HARDLY_KNOWN = "CLIP hardly knows these names here: the labels are about as good as guessing."
GAIN_WORDS = re.compile("better|likely|forecast|improve|gained|lost", re.IGNORECASE)
"""Words that only labelled images or a person's answers can justify."""
NOT_KNOWN = "Whether adapting helps is not known: features alone cannot tell."


def judged(folder: Path, verdict: Verdict | None, **changes: object) -> RunResults:
    return changed(run_results(folder, **changes), verdict=verdict)


def unlabelled(folder: Path, verdict: Verdict | None, **changes: object) -> RunResults:
    return judged(folder, verdict, models=(), confusions={}, **changes)


def lines(results: RunResults, run: str = "runs/a") -> tuple[str, ...]:
    """Return the texts and commands of all statements."""
    return tuple(
        line
        for stated in details(results, run)
        for line in [*filter(None, [stated.text]), *map(": ".join, stated.commands)]
    )


class TestOutcome:
    def test_only_answers_show_that_the_adapted_model_is_better(self) -> None:
        outcomes = ["cannot tell", "kept zero-shot", "cannot tell"]
        assert [verdict.outcome for verdict in (WHOLE, KEPT, PART)] == outcomes
        assert Verdict(1.0, "measured with 40 answers", measured="better").outcome == "better"
        assert {*get_args(Outcome)} == {*outcomes, "better"}
        assert [verdict.adapt for verdict in (WHOLE, KEPT, PART)] == [True, False, True]

    def test_a_verdict_has_no_probability(self) -> None:
        assert [field.name for field in fields(Verdict)] == [
            "strength",
            "reason",
            "signals",
            "measured",
            "names_known",
        ]


class TestWords:
    def test_adapted(self, tmp_path: Path) -> None:
        assert lines(unlabelled(tmp_path, WHOLE))[2:5] == (
            f"Adapted. {NOT_KNOWN}",
            "The texts and the groups of images agree.",
            "The labels by zero-shot CLIP are in pseudo_labels.csv, column zero_shot.",
        )

    @pytest.mark.parametrize("verdict", [WHOLE, KEPT, PART, UNKNOWN, None])
    def test_no_word_says_without_answers_that_a_run_gained(
        self, tmp_path: Path, verdict: Verdict | None
    ) -> None:
        results = unlabelled(tmp_path, verdict, unsupported=("fox",))
        page = parse(run_page(results))
        shown = f"{page.one('header').words} {page.one('main').words}"
        for text in (summary_table(results), shown, model_card(results)):
            assert "latte review" in text
            assert not GAIN_WORDS.findall(text)

    def test_kept(self, tmp_path: Path) -> None:
        assert lines(unlabelled(tmp_path, KEPT), "my runs/a")[2:6] == (
            f"Kept zero-shot CLIP. {NOT_KNOWN}",
            "The texts and the groups of images agree.",
            "To use the adapted model, which the guard did not accept: "
            "latte predict 'my runs/a' IMAGES --use adapted",
            "To adapt without the guard: latte run 'my runs/a/recipe.yaml' --set guard=null",
        )

    def test_a_command_has_a_line_of_its_own_in_the_terminal(self, tmp_path: Path) -> None:
        run = "adapted/a-long-name-of-a-folder-of-photos-12345678"
        summary = summary_table(unlabelled(tmp_path, KEPT), run)
        assert f"  latte run {run}/recipe.yaml --set guard=null" in summary.split("\n")
        assert f"  latte review {run}" in summary.split("\n")

    @pytest.mark.parametrize("verdict", [WHOLE, KEPT, PART])
    def test_the_summary_fits_and_is_ascii(self, tmp_path: Path, verdict: Verdict) -> None:
        summary = summary_table(unlabelled(tmp_path, verdict), "runs/a")
        assert all(len(line) <= WIDTH for line in summary.split("\n"))
        assert summary.isascii()

    def test_a_part_says_how_much_and_where_the_whole_is(self, tmp_path: Path) -> None:
        _, _, sentence, _, command, *_ = lines(unlabelled(tmp_path, PART))
        assert sentence == (
            "Adapted in part: zero-shot CLIP and the adapted model are mixed (strength 0.40). "
            f"{NOT_KNOWN}"
        )
        assert "latte predict runs/a IMAGES --use adapted" in command

    @pytest.mark.parametrize("verdict", [WHOLE, PART, KEPT])
    def test_labelled_images_that_measure_the_gain_replace_the_doubt(
        self, tmp_path: Path, verdict: Verdict
    ) -> None:
        text = " ".join(lines(judged(tmp_path, verdict)))
        assert text.startswith(("Adapted", "Kept zero-shot CLIP. The texts"))
        assert "not known" not in text and "latte review" not in text

    def test_answers_that_the_run_learned_from_are_not_called_features(
        self, tmp_path: Path
    ) -> None:
        learned = unlabelled(tmp_path, WHOLE)
        learned = changed(
            learned, recipe={**learned.record.recipe, "corrections": "a/review.jsonl"}
        )
        sentence, reason, _, measure, *_ = lines(learned)
        assert (sentence, reason) == ("Adapted.", "The texts and the groups of images agree.")
        assert measure.endswith("latte review runs/a")

    def test_without_a_guard_the_result_comes_first(self, tmp_path: Path) -> None:
        result, _, no_guard, *_ = lines(judged(tmp_path, None))
        assert result.startswith("Adapting gained")
        assert no_guard == NO_GUARD
        assert "latte review runs/a" in " ".join(lines(unlabelled(tmp_path, None)))


class TestUnknownNames:
    """Names that CLIP hardly knows are the first thing that everything says about a run."""

    def test_they_come_first_and_in_bold_with_the_command_that_helps(self, tmp_path: Path) -> None:
        results = unlabelled(tmp_path, UNKNOWN)
        command = f"latte review {results.folder.name}"
        start = squashed(f"{HARDLY_KNOWN} A few answers help most: {command}")
        assert squashed(summary_table(results)).startswith(start)
        page, title = parse(run_page(results)), results.record.name
        assert page.one("h1").words == "CLIP hardly knows these names."
        assert page.one("div", "cmd").one("code").words == command
        _, _, body = model_card(results).partition(f"# {title}\n\n")
        assert body.startswith(f"**{HARDLY_KNOWN}**")

    def test_they_replace_the_same_doubt(self, tmp_path: Path) -> None:
        text = " ".join(lines(unlabelled(tmp_path, UNKNOWN, unsupported=("fox",))))
        assert "Kept zero-shot CLIP. The texts and the groups" in text
        assert "not known" not in text
        assert text.count("latte review") == 1

    @pytest.mark.parametrize("names_known", [True, None])
    def test_known_names_are_not_doubted(self, tmp_path: Path, names_known: bool | None) -> None:
        verdict = replace(KEPT, names_known=names_known)
        assert HARDLY_KNOWN not in lines(unlabelled(tmp_path, verdict))

    def test_labelled_images_say_more(self, tmp_path: Path) -> None:
        assert HARDLY_KNOWN not in lines(judged(tmp_path, UNKNOWN))

    @pytest.mark.parametrize(("answers", "is_first"), [(5, True), (6, False)])
    def test_six_answers_that_taught_the_run_end_the_doubt(
        self, tmp_path: Path, answers: int, is_first: bool
    ) -> None:
        facts = AnswerFacts(answers=answers, classes=2)
        recipe = {"corrections": "a/review.jsonl"}
        results = unlabelled(tmp_path, UNKNOWN, answers=facts, recipe=recipe)
        stated = lines(results)
        assert (stated[0] == HARDLY_KNOWN) is (HARDLY_KNOWN in stated) is is_first
        assert " ".join(stated).count("latte review") == 1

    @pytest.mark.parametrize(("answers", "is_first"), [(5, True), (6, False)])
    def test_six_answers_of_the_review_end_the_doubt(
        self, tmp_path: Path, answers: int, is_first: bool
    ) -> None:
        results = unlabelled(tmp_path, UNKNOWN)
        answer_all(made_up_review(results.folder, CLASSES), "adapted", answers)
        assert (lines(results)[0] == HARDLY_KNOWN) is is_first


class TestKeptZeroShot:
    """A run whose guard kept zero-shot has zero-shot CLIP's accuracy by the guard's decision."""

    def summary(self, folder: Path, *models: RunModel) -> str:
        return squashed(summary_table(judged(folder, KEPT, models=(ZERO_SHOT, *models))))

    def test_headline_names_zero_shot_clip_and_the_adapted_model(self, tmp_path: Path) -> None:
        text = self.summary(tmp_path, ADAPTED)
        assert (
            "This run uses zero-shot CLIP: top-1 55.0 % on 400 labelled images (95 % interval 50.0 "
            "to 60.0 %). The adapted model reaches 59.5 %: +4.5 points (95 % interval +1.2 to "
            "+7.8)."
        ) in text
        assert "It is measurably better: `latte predict --use adapted` uses it." in text
        assert "No measurable gain" not in text
        assert "did at least as well" not in text
        card = model_card(judged(tmp_path, KEPT))
        assert "The CLIP that the recipe names, with its class texts as classifier" in card

    def test_the_adapted_model_is_recommended_only_if_labels_show_a_gain(
        self, tmp_path: Path
    ) -> None:
        unclear = remeasured(ADAPTED, gain=Interval(0.02, -0.01, 0.05))
        assert "measurably better" not in self.summary(tmp_path, unclear)

    def test_a_control_is_compared_with_the_adapted_model(self, tmp_path: Path) -> None:
        assert "did at least as well" not in self.summary(tmp_path, ADAPTED, CONTROL)
        worse = remeasured(ADAPTED, top1=top1(ZERO_SHOT))
        assert "did at least as well as the adapted model: 57.0" in self.summary(
            tmp_path, worse, CONTROL
        )

    @pytest.mark.parametrize("verdict", [KEPT, WHOLE])
    def test_a_control_that_kept_zero_shot_too_is_no_rival(
        self, tmp_path: Path, verdict: Verdict
    ) -> None:
        gain = Interval(-0.025, -0.05, 0.01)
        worse = run_model("adapted", (90, 60, 60), gain)
        models = (ZERO_SHOT, worse, run_model("plain", BEFORE, gain))
        assert "did at least as well" not in summary_table(judged(tmp_path, verdict, models=models))
        without_guard = judged(tmp_path, None, models=models)
        assert "did at least as well" in squashed(summary_table(without_guard))
