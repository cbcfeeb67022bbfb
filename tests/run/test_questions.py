"""Questions of a labeler: within the budget, and stored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from latte.interfaces import (
    Context,
    DescribeRequest,
    NoOptions,
    QuestionCounts,
)
from latte.report.statements import asked
from latte.results.answers import read_answers
from tests.helpers.asking import (
    Counting,
    First,
    about,
    questions,
)
from tests.helpers.recorded import RecordedProgress


def test_questions_beyond_the_budget_are_not_sent(tmp_path: Path) -> None:
    door = questions(tmp_path, 3)
    choices = door.choose("images", [about(door, row) for row in (0, 1, 0, 2, 3)])
    assert [choice is None for choice in choices] == [False, False, False, False, True]
    assert (door.asked, len(First.sent)) == (3, 3)
    assert door.choose("images", [about(door, 1), about(door, 3)])[1] is None


def test_stored_answers_count_against_the_budget_and_are_not_asked_again(tmp_path: Path) -> None:
    requests = [0, 1, 2]
    first_door = questions(tmp_path, 2)
    first_choices = first_door.choose("images", [about(first_door, row) for row in requests])
    second_door = questions(tmp_path, 2)
    assert (
        second_door.choose("images", [about(second_door, row) for row in requests]) == first_choices
    )
    assert First.sent == []
    assert second_door.counts == (QuestionCounts("images", questions=2, stored=2, unanswered=0),)


def test_texts_and_choices_share_the_budget_and_the_store(tmp_path: Path) -> None:
    door = questions(tmp_path, 3)
    prompts = ["a cat", "secret", "a dog", "a cat", "a fox"]
    requests = [DescribeRequest((), prompt) for prompt in prompts]
    texts = door.ask("names", requests[:2])
    assert texts == ["one\ntwo of a cat", None]
    door.choose("images", [about(door, 0), about(door, 1)])
    assert (door.asked, len(First.sent)) == (3, 1)
    assert door.ask("names", requests) == [texts[0], None, None, texts[0], None]
    assert door.counts[0] == QuestionCounts("names", questions=2, stored=0, unanswered=1)
    second_door = questions(tmp_path, 3)
    assert second_door.ask("names", requests[:2]) == texts
    assert First.written == []
    assert second_door.counts == (QuestionCounts("names", questions=2, stored=2, unanswered=1),)
    dry = questions(tmp_path, 3, ask=False)
    assert dry.ask("names", requests) == [texts[0], None, None, texts[0], None]
    assert First.written == []
    assert dry.counts == (QuestionCounts("names", questions=3, stored=2, unanswered=0),)


def test_a_text_and_a_choice_about_one_question_are_stored_apart(tmp_path: Path) -> None:
    door = questions(tmp_path, 9)
    choice = about(door, 0)
    door.choose("images", [choice])
    assert door.ask("texts", [choice.question()])[0] is not None
    assert len(First.written) == 1


def test_a_dry_run_returns_stored_answers_only(tmp_path: Path) -> None:
    door = questions(tmp_path, 9)
    answer = door.choose("images", [about(door, 0)])
    dry = questions(tmp_path, 9, ask=False)
    assert dry.choose("images", [about(dry, 0), about(dry, 1)]) == [*answer, None]
    assert First.sent == []
    assert dry.counts == (QuestionCounts("images", questions=2, stored=1, unanswered=0),)


def test_tokens_are_shown_of_these_questions_and_so_far(tmp_path: Path) -> None:
    progress = RecordedProgress()
    door = questions(tmp_path, 9, Counting, progress)
    for rows in ([0], [0, 1, 2], [1]):
        door.choose("images", [about(door, row) for row in rows])
    first_spending, second_spending = (
        line.partition(";")[2].partition("; see")[0] for line in progress.lines[:2]
    )
    assert first_spending == " spent 600 input tokens, 2 output tokens"
    assert second_spending == (
        " spent 1,200 input tokens, 4 output tokens (1,800 input tokens, 6 output tokens so far)"
    )
    assert len(progress.lines) == 2


def test_a_kill_in_a_round_changes_no_answer_and_pays_no_stored_one_again(tmp_path: Path) -> None:
    class Killed(Counting):
        killed = 4

    uninterrupted = questions(tmp_path / "whole", 80, Counting)
    requests = [about(uninterrupted, row) for row in range(100)]
    choices = uninterrupted.choose("images", requests)
    paid = len(First.sent)
    door = questions(tmp_path, 80, Killed)
    with pytest.raises(KeyboardInterrupt):
        door.choose("images", requests)
    paid_before_kill = len(First.sent)
    assert 0 < paid_before_kill < paid
    resumed = questions(tmp_path, 80, Counting)
    assert resumed.choose("images", requests) == choices
    assert paid_before_kill + len(First.sent) == paid
    assert resumed.counts == (replace(uninterrupted.counts[0], stored=paid_before_kill),)


def test_tokens_of_questions_are_counted(tmp_path: Path) -> None:
    door = questions(tmp_path, 4, Counting)
    door.choose("images", [about(door, row) for row in range(3)])
    door.choose("images", [about(door, row, "secret?") for row in range(3)])
    (counts,) = door.counts
    assert counts == QuestionCounts("images", 4, 0, 1, 0, 0, 1800, 6)
    assert asked(counts) == ("4 (0 used, 0 not used, 1 question without an answer, 1,806 tokens)")


def test_counts_are_written_by_purpose(tmp_path: Path) -> None:
    door = questions(tmp_path, 9, path=tmp_path / "questions.json")
    door.choose("clusters", [about(door, 0), about(door, 1, "secret?")])
    door.note("clusters", kept=1, contradictory=2)
    door.choose("images", [about(door, 2)])
    written = json.loads((tmp_path / "questions.json").read_text())
    assert [QuestionCounts(**counts) for counts in written["questions"]] == [
        QuestionCounts("clusters", 2, stored=0, unanswered=1, kept=1, contradictory=2),
        QuestionCounts("images", 1, stored=0, unanswered=0),
    ]


def test_the_reliability_of_the_describer_is_written_and_said(tmp_path: Path) -> None:
    path, progress = tmp_path / "questions.json", RecordedProgress()
    questions(tmp_path, 9, path=path, progress=progress).note_reliability("ignored:\n0 of 8")
    assert json.loads(path.read_text())["reliability"] == "ignored: 0 of 8"
    assert progress.lines == ["train: ignored: 0 of 8"]


def test_a_dry_run_says_no_reliability(tmp_path: Path) -> None:
    progress = RecordedProgress()
    door = questions(tmp_path, 9, ask=False, progress=progress)
    door.note_reliability("ignored")
    assert door.is_forecast
    assert progress.lines == []


def test_a_sheet_shows_its_images_in_one_picture(tmp_path: Path) -> None:
    door = questions(tmp_path, 9)
    sheet = door.sheet([3, 1])
    colours = {*sheet.open().getchannel("R").tobytes()}
    assert colours == {0, 1, 3}
    assert sheet.key != door.sheet([1, 3]).key


def test_closing_frees_the_describer_once(tmp_path: Path) -> None:
    door = questions(tmp_path, 9)
    door.choose("images", [about(door, 0)])
    door.close()
    door.close()
    assert First.closed == [True]


class Elsewhere(NoOptions):
    """Options of a describer on another machine."""

    @property
    def sends_to(self) -> str:
        return "https://example.org/v1"


class Remote(First):
    """Describer on another machine."""

    def __init__(self, _: NoOptions, context: Context) -> None:
        super().__init__(Elsewhere(), context)


def test_number_of_sent_images_and_their_address_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "asked.json"
    for describer, address in ((First, None), (Remote, "https://example.org/v1")):
        door = questions(tmp_path, 5, describer, path=path)
        door.choose("images", [about(door, row) for row in (0, 1)])
        door.choose("again", [about(door, row, "and now?") for row in (1, 2, 3, 4)])
        door.save()
        saved = json.loads(path.read_text())
        assert (saved["sent_images"], saved["sent_to"]) == (4, address)


def test_classes_that_a_labeler_takes_from_answers_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "run" / "model_answers.jsonl"
    path.parent.mkdir()
    door = questions(tmp_path, 5, answers=path)
    door.choose("images", [about(door, row) for row in (0, 1)])
    door.note_answers([0, 1], [2, 0], [0.7, 0.9])
    first, second = read_answers(path)
    assert (first.key, first.label, first.reliability) == ("key 0", "blue", 0.7)
    assert (second.key, second.label, second.by, second.run) == ("key 1", "red", "first-1", "run")
    assert second.time
    door.note_answers([], [], [])
    assert not path.exists()
