"""The list of statements about a run, and that terminal, page and card show all of it in order."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latte.interfaces import (
    FailedRequests,
    LabelFlow,
    QuestionCounts,
    RunResults,
    Verdict,
)
from latte.report.card import model_card
from latte.report.numbers import NARROW_SPACE
from latte.report.page.page import run_page
from latte.report.statement import Statement
from latte.report.statements import details
from latte.report.summary import summary_table
from latte.results.answers import TITLES
from tests.helpers.html_document import parse
from tests.helpers.one_line import squashed
from tests.helpers.report_examples import (
    ADAPTED,
    CLASSES,
    CONTROL,
    ZERO_SHOT,
    changed,
    remeasured,
    run_results,
    top1,
)
from tests.helpers.reviews import answer_all, made_up_review

REASON = "the texts and the groups of images agree"
ASKED = QuestionCounts("clusters", 40, 17, 3)
UNSUPPORTED = ("<b>fox</b>",)
MEASURED = (ZERO_SHOT, ADAPTED, remeasured(CONTROL, top1=top1(ADAPTED)))
CASES = {
    "labelled": {},
    "control as good": {"models": MEASURED},
    "unlabelled": {"models": (), "verdict": Verdict(1.0, REASON), "unsupported": UNSUPPORTED},
    "unknown names": {
        "models": (),
        "verdict": Verdict(0.0, REASON, names_known=False),
        "unsupported": UNSUPPORTED,
    },
    "no guard": {"models": (), "verdict": None},
    "kept": {"models": (ZERO_SHOT, ADAPTED), "verdict": Verdict(0.0, REASON)},
    "mixed": {
        "models": (ZERO_SHOT, ADAPTED, replace(ADAPTED, name="mixed", role="mixed")),
        "verdict": Verdict(0.4, REASON),
    },
    "oracle": {"recipe": {"oracle": True}},
    "corrected": {"recipe": {"corrections": "a/review.jsonl"}, "verdict": Verdict(1.0, REASON)},
    "asked": {
        "questions": (ASKED,),
        "reliability": "It is <right>.",
        "sent_images": 60,
        "sent_to": "https://example.org/v1",
        "failed": FailedRequests(3, 40, "there was no answer within 60 s"),
    },
}


def in_terminal(results: RunResults) -> str:
    return squashed(summary_table(results))


def on_page(results: RunResults) -> str:
    page = parse(run_page(results))
    return page.by_id("result").words


def on_card(results: RunResults) -> str:
    start = model_card(results).partition("## Model")[0]
    return html.unescape(squashed(start.replace("\\", "").replace("*", "")))


def shown(statement: Statement) -> list[str]:
    """Return the texts of a statement; the terminal shows them with ASCII quotes and hyphens."""
    commands = [
        text for command in statement.commands for text in (f"{command.purpose}:", command.line)
    ]
    return [squashed(text) for text in [*filter(None, [statement.text]), *commands]]


def ascii_text(text: str) -> str:
    marks = {"–": " to ", "“": '"', "”": '"', "−": "-", NARROW_SPACE: " "}
    return squashed(text.translate(str.maketrans(marks)))


@pytest.mark.parametrize("render", [in_terminal, on_page, on_card])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("answers", [0, 40])
def test_each_statement_is_shown_once_and_in_order(
    case: str, answers: int, render: Callable[[RunResults], str], tmp_path: Path
) -> None:
    results = run_results(tmp_path)
    if answers:
        answer_all(made_up_review(results.folder, CLASSES), "adapted", answers)
    results = changed(results, **CASES[case])
    text, end = ascii_text(render(results)), 0
    for stated in details(results):
        for part in map(ascii_text, shown(stated)):
            assert part in text[end:], f"{part} is missing or too early"
            end = text.index(part, end) + len(part)
        if stated.text:
            assert text.count(ascii_text(stated.text)) == 1


@pytest.mark.parametrize("render", [run_page, model_card, summary_table])
def test_a_statement_from_outside_cannot_act(
    render: Callable[[RunResults], str], tmp_path: Path
) -> None:
    hostile = "<script>alert(1)</script> **a**\x1b[31m"
    results = run_results(
        tmp_path, verdict=Verdict(0.0, hostile), reliability=hostile, unsupported=UNSUPPORTED
    )
    shown = render(results)
    assert "\x1b" not in shown
    if render is not summary_table:
        assert "<script>alert" not in shown and "<b>fox" not in shown
    assert render is run_page or render is summary_table or "**a**" not in shown


class TestNames:
    def stated(
        self, folder: Path, unsupported: tuple[str, ...] | None, **changes: object
    ) -> list[str]:
        results = run_results(folder, unsupported=unsupported, **changes)
        kinds = [
            statement
            for statement in details(results, "runs/my photos")
            if "class" in statement.text
        ]
        return [
            statement.text
            for statement in kinds
            if statement.kind == "names" or "Images were" in statement.text
        ]

    def test_some_names_are_shown_and_the_others_counted(self, tmp_path: Path) -> None:
        names = tuple(f"name {number}" for number in range(93))
        (text,) = self.stated(tmp_path, names, class_names=("a",) * 100)
        assert text.startswith(
            "Names that no image clearly shows: name 0, name 1, name 2 and 90 more. Check these "
            "names: most CLIP models know only correctly spelt English words."
        )
        (text,) = self.stated(tmp_path, ("a",))
        assert "Names that no image clearly shows: a. Check" in text

    def test_the_task_that_corrects_groups_is_named(self, tmp_path: Path) -> None:
        results = run_results(tmp_path, unsupported=("fox",))
        task = TITLES["clusters"]
        (names,) = [
            statement for statement in details(results, "my photos") if statement.kind == "names"
        ]
        purpose = f"To correct whole groups of images, choose the task “{task}” of"
        assert names.commands == ((purpose, "latte review 'my photos'"),)

    def test_few_images_do_not_show_which_classes_occur(self, tmp_path: Path) -> None:
        for unsupported, words in ((("dog",), "shows: dog"), ((), "for every class name")):
            (text,) = self.stated(tmp_path, unsupported, training_images=25)
            assert words in text
            assert not self.stated(tmp_path, unsupported, training_images=24)
        assert not self.stated(tmp_path, None)

    def test_the_page_lists_all_names(self, tmp_path: Path) -> None:
        names = ("tabby cat", "<b>fox</b>", "c", "last name")
        words = on_page(run_results(tmp_path, unsupported=names))
        assert "Names that no image clearly shows: tabby cat, <b>fox</b>, c and 1 more" in words
        assert "last name" in words


class TestChanges:
    def stated(self, folder: Path, **changes: object) -> list[str]:
        texts = [statement.text for statement in details(run_results(folder, **changes))]
        return [text for text in texts if "another label" in text]

    def test_the_share_of_changed_labels_is_stated(self, tmp_path: Path) -> None:
        flows = (LabelFlow(0, 0, 9), LabelFlow(0, 1, 6), LabelFlow(2, 0, 3), LabelFlow(2, 2, 1))
        (text,) = self.stated(tmp_path, label_flows=flows)
        assert "gives 9 of 19 training images (47\u202f%) another label" in text
        (text,) = self.stated(tmp_path, label_flows=flows[:1])
        assert "gives 0 of 9 training images" in text
        (text,) = self.stated(tmp_path, label_flows=flows, none_images=2)
        assert "gives 11 of 21 training images" in text, "none of these is another label"

    def test_nothing_is_stated_without_labels_or_with_those_of_zero_shot(
        self, tmp_path: Path
    ) -> None:
        assert not self.stated(tmp_path, label_flows=())
        assert not self.stated(tmp_path, verdict=Verdict(0.0, REASON))
