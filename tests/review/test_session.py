"""A review of a run: the order of questions, and which answers measure the gain."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.report.evidence import read_evidence
from latte.results.answers import Answer, read_answers
from latte.results.folder import RunFolder
from latte.results.run import Run
from latte.results.stored import LARGEST_JSON
from latte.review.population import ReviewImage
from latte.review.queues import Question
from latte.review.session import Review
from tests.helpers.reviews import made_up_review

NAMES = ("cat", "dog", "bird")


@pytest.fixture
def review(tmp_path: Path) -> Review:
    """A review of 200 images, of which every fourth divides the models."""
    return made_up_review(tmp_path, NAMES)


def answered(review: Review, count: int) -> list[str]:
    """Answer `count` questions of the evidence with the first option; return the keys asked."""
    asked = []
    for _ in range(count):
        question = review.next("evidence")
        assert question is not None
        asked.append(question.images[0].key)
        review.answer([question.images[0].key], "class", NAMES[question.options[0]], "evidence")
    return asked


def everything(review: Review) -> tuple[ReviewImage, ...]:
    return review.population.images


def keys(question: Question) -> list[str]:
    return [one.key for one in question.images]


def test_three_of_four_questions_are_about_disagreements(review: Review) -> None:
    asked = answered(review, 24)
    differ = {one.key for one in review.population.disagreements}
    assert sum(key in differ for key in asked) == 18
    assert review.evidence().estimate.answered == 18
    assert review.evidence().estimate.gain.low < review.evidence().estimate.gain.high


def test_options_do_not_reveal_the_model(review: Review) -> None:
    found = [review.next("evidence")]
    first = []
    for _ in range(60):
        question = review.next("evidence")
        assert question is not None
        found.append(question)
        if question.images[0].disagrees:
            assert set(question.options) == {
                question.images[0].zero_shot,
                question.images[0].adapted,
            }
            first.append(question.options[0] == question.images[0].adapted)
        review.answer([question.images[0].key], "none", None, "evidence")
    assert 0.25 < sum(first) / len(first) < 0.75


def test_images_that_other_tasks_asked_about_are_drawn_too(review: Review) -> None:
    drawn = review.next("evidence")
    assert drawn is not None
    review.answer(keys(drawn), "class", "cat", "images")
    assert review.next("evidence") == drawn
    assert review.evidence().estimate.answered == 0
    review.answer(keys(drawn), "class", "dog", "evidence")
    assert review.evidence().estimate.answered == 1
    # A later correction, in any task, changes the answer but not the draw.
    review.answer(keys(drawn), "class", "bird", "images")
    assert review.evidence().estimate.answered == 1
    assert [answer.label for answer in review.answers().values()] == ["bird"]


def test_images_are_looked_through_in_their_random_order(review: Review) -> None:
    expected = [image.key for image in everything(review)]
    asked = []
    while (question := review.next("images")) is not None:
        (image,) = question.images
        assert {*question.options} == {image.zero_shot, image.adapted}
        asked.append(image.key)
        review.answer([image.key], "unsure", None, "images")
    assert asked == expected
    standing = review.standing("images")
    assert (standing.answered, standing.left) == (len(expected), 0)


def test_undo_asks_again(review: Review) -> None:
    (first, second) = answered(review, 2)
    review.answer([second], "undo", None, "evidence")
    question = review.next("evidence")
    assert question is not None
    assert question.images[0].key == second
    assert [*review.answers()] == [first]


def test_clusters_are_asked_once_and_the_largest_first(review: Review) -> None:
    sizes = []
    while (question := review.next("clusters")) is not None:
        (label,) = {one.adapted for one in question.images}
        assert label in question.options
        sizes.append(sum(image.adapted == label for image in everything(review)))
        assert review.standing("clusters").left == len(NAMES) - len(sizes) + 1
        review.answer(keys(question), "class", "dog", "clusters")
    assert len(sizes) == review.standing("clusters").answered == len(NAMES)
    assert sizes == sorted(sizes, reverse=True)


def test_a_sheet_has_typical_and_doubtful_images(review: Review) -> None:
    question = review.next("clusters")
    assert question is not None
    label = question.images[0].adapted
    cluster = [image for image in everything(review) if image.adapted == label]
    ranked = sorted((one.confidence for one in cluster), reverse=True)
    assert [one.confidence for one in question.images] == [*ranked[:9], *ranked[-3:]]


def test_only_selected_images_of_a_sheet_get_the_class(review: Review) -> None:
    question = review.next("clusters")
    assert question is not None
    named, others = keys(question)[:10], keys(question)[10:]
    review.answer(named, "class", "bird", "clusters", others)
    answers = review.answers()
    assert [answers[key].label for key in named] == ["bird"] * 10
    assert [answers[key].label for key in others] == [None, None]
    asked = review.next("images")
    assert asked is not None
    assert asked.images[0].key not in named
    assert review.standing("images").left == len(everything(review)) - 10


def test_images_of_a_mixed_sheet_are_asked_again_one_by_one(review: Review) -> None:
    first = review.next("images")
    assert first is not None
    while (question := review.next("clusters")) is not None:
        review.answer([], "unsure", None, "clusters", keys(question))
    assert review.next("images") == first
    assert review.standing("clusters").answered == len(NAMES)


def test_undo_of_a_sheet_keeps_answers_that_single_images_got_since(review: Review) -> None:
    question = review.next("clusters")
    assert question is not None
    review.answer([], "unsure", None, "clusters", keys(question))
    last = keys(question)[-1]
    review.answer([last], "class", "cat", "images")
    review.answer(keys(question), "undo", None, "clusters")
    assert [*review.answers()] == [last]
    asked = review.next("clusters")
    assert asked is not None
    assert asked.images[0] == question.images[0]


def test_sheets_with_an_unknown_image_are_refused_and_leave_no_line(review: Review) -> None:
    question = review.next("clusters")
    assert question is not None
    for named, others in (["no image"], []), ([], ["no image"]):
        with pytest.raises(LatteError):
            review.answer([*keys(question), *named], "class", "cat", "clusters", others)
    assert not review.file.exists()


def test_the_next_step_after_teaching_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    review = made_up_review(tmp_path / "my run", NAMES)
    assert review.standing("evidence").next_step == ""
    question = review.next("clusters")
    assert question is not None
    review.answer(keys(question)[:2], "class", "cat", "clusters", keys(question)[2:])
    command = "latte review 'my run' --learn"
    step = f"2 answers teach; next step: {command}"
    assert review.standing("clusters").next_step == step
    assert run_command_line(["review", "my run", "--show"]) == 0
    assert step in capsys.readouterr().out.splitlines()


def test_sheets_do_not_change_the_evidence(review: Review) -> None:
    answered(review, 12)
    before = review.evidence().estimate
    while (question := review.next("clusters")) is not None:
        review.answer(keys(question), "class", "cat", "clusters")
    assert review.evidence().estimate == before


@pytest.mark.parametrize(
    ("key", "kind", "label", "queue"),
    [
        ("no image", "class", "cat", "evidence"),
        ("key 0", "class", "zebra", "evidence"),
        ("key 0", "class", None, "evidence"),
        ("key 0", "none", "cat", "evidence"),
        ("key 0", "class", "cat", "no queue"),
    ],
)
def test_impossible_answers_are_refused(
    review: Review, key: str, kind: Any, label: str | None, queue: Any
) -> None:
    with pytest.raises(LatteError):
        review.answer([key], kind, label, queue)
    assert not review.file.exists()


def test_a_taught_run_has_answers_of_its_own_about_other_images(tmp_path: Path) -> None:
    first = made_up_review(tmp_path / "first", NAMES)
    asked = answered(first, 5)
    taught = tmp_path / "taught"
    made_up_review(taught, NAMES, corrections="../first/review.jsonl")
    (taught / "corrected.json").write_text(json.dumps(dict.fromkeys(asked, 0)))
    review = Review(Run(RunFolder(taught)))
    assert review.file == taught / "review.jsonl"
    assert len(everything(review)) == len(everything(first)) - 5
    assert not {*answered(review, 20)} & {*asked}


def test_a_missing_file_of_corrections_does_not_hinder_a_review(tmp_path: Path) -> None:
    made_up_review(tmp_path / "learned", NAMES, corrections="../missing/review.jsonl")
    assert read_evidence(tmp_path / "learned") is None


def test_a_file_of_answers_that_is_too_large_is_not_read(review: Review) -> None:
    review.file.touch()
    os.truncate(review.file, LARGEST_JSON + 1)
    with pytest.raises(LatteError, match="it has more than"):
        review.answers()


def test_the_file_is_read_once_for_an_answer(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> list[Answer]:
        read.append(path)
        return read_answers(path)

    monkeypatch.setattr("latte.review.session.read_answers", counted)
    review.answer([review.population.disagreements[-1].key], "class", "cat", "evidence")
    assert read == [review.file]


def test_the_number_of_questions_left_is_that_of_the_questions_asked(review: Review) -> None:
    answered(review, 5)
    upcoming = [question.images[0].key for question in review.upcoming(200)]
    left = review.standing("evidence").left
    assert len(upcoming) == left == 195
    assert answered(review, left) == upcoming
    assert review.next("evidence") is None
    assert review.standing("evidence").left == 0


def test_answers_for_a_renamed_class_do_not_count_and_are_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answered(made_up_review(tmp_path, NAMES), 40)
    before = made_up_review(tmp_path, NAMES).answers()
    renamed = made_up_review(tmp_path, ("cat", "hound", "bird"))
    stale = [key for key in asked if before[key].label == "dog"]
    assert 0 < len(stale) < 40
    assert renamed.answers().keys() == set(asked) - set(stale)
    found = renamed.evidence()
    assert found.estimate.neither == 0
    question = renamed.next("evidence")
    assert question is not None
    assert question.images[0].key in stale
    line = f'{len(stale)} answers do not count, because the class list has no class "dog"'
    assert line in found.lines[-1]
    assert f"Replace the names in {tmp_path.name}/review.jsonl" in found.lines[-1]
    assert run_command_line(["review", str(tmp_path), "--show"]) == 0
    assert line in " ".join(capsys.readouterr().out.split())
    text = renamed.file.read_text().replace('"label": "dog"', '"label": "hound"')
    renamed.file.write_text(text)
    assert renamed.evidence().unknown == ""
    assert len(renamed.answers()) == 40


def test_the_nearest_name_of_a_renamed_class_is_shown(tmp_path: Path) -> None:
    answered(made_up_review(tmp_path, NAMES), 8)
    found = made_up_review(tmp_path, ("cats", "dogs", "birds")).evidence()
    assert found.estimate.answered == 0
    assert "8 answers do not count" in found.unknown
    assert "nearest: dogs)" in found.unknown
    reported = read_evidence(tmp_path)
    assert reported is not None
    assert found.unknown in reported.lines


def test_class_names_in_another_case_or_unicode_form_are_the_same(tmp_path: Path) -> None:
    names = ("K\u00e4fer", "Katze", "Vogel")
    first = made_up_review(tmp_path, names)
    for _ in range(40):
        question = first.next("evidence")
        assert question is not None
        first.answer([question.images[0].key], "class", names[question.options[0]], "evidence")
    again = made_up_review(tmp_path, ("ka\u0308fer", "KATZE", "vogel"))
    before, after = first.evidence(), again.evidence()
    assert before == after
    assert {one.label for one in again.answers().values()} == {*again.run.class_names}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--learn", "--show"], "--learn: does not go with --show"),
        (["--learn", "--json"], "--learn: does not go with --json"),
    ],
)
def test_two_tasks_in_one_command_are_refused(
    review: Review, options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["review", str(review.run.folder.path), *options]) == 2
    assert named in capsys.readouterr().err
