"""A review of a run: the order of questions, and which answers measure the gain."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.results.answers import Answer, append_answers, now, read_answers, write_answers
from latte.results.folder import RunFolder
from latte.results.measured_labels import measured_labels
from latte.results.population import ReviewImage
from latte.results.run import Run
from latte.results.run_answers import read_evidence
from latte.results.stored import LARGEST_JSON
from latte.review.session import Mark, Review
from latte.review.tasks import TaskPlace
from tests.helpers.review_questions import NAMES, answered, left, marks, question
from tests.helpers.reviews import keep_zero_shot, made_up_review

MEASURE = TaskPlace(task="evidence")


@pytest.fixture
def review(tmp_path: Path) -> Review:
    """A review of 200 images, of which every fourth divides the models."""
    return made_up_review(tmp_path / "run", NAMES)


def test_images_that_measure_are_asked_about_in_random_order(review: Review) -> None:
    asked_keys = answered(review, 24)
    assert asked_keys == [image.key for image in review.population.images[:24]]
    estimate = review.evidence().estimate
    differ = {image.key for image in review.population.disagreements}
    assert estimate.answered == sum(key in differ for key in asked_keys) > 0
    assert estimate.agreeing == 24 - estimate.answered
    assert estimate.gain.low < estimate.gain.high


def test_an_image_that_another_task_asked_about_is_not_asked_about_again(review: Review) -> None:
    drawn, following = (image for (image,) in islice(review.questions(MEASURE), 2))
    review.save("images", marks([drawn], "cat"))
    assert question(review, "evidence") == (following,)
    line = read_answers(review.file)[0]
    assert line.before == NAMES[drawn.used_label]


def test_an_image_left_out_of_a_group_or_not_looked_at_is_drawn(review: Review) -> None:
    (drawn,) = question(review, "evidence")
    review.save("clusters", marks([drawn], None))
    assert question(review, "evidence") == (drawn,)
    review.save("images", marks([drawn], "dog"), seen=())
    assert question(review, "evidence") == (drawn,)
    review.save("evidence", marks([drawn], "dog"))
    assert question(review, "evidence") != (drawn,)


def test_an_answer_stores_the_label_and_the_model_that_stood_before(review: Review) -> None:
    drawn, following = (image for (image,) in islice(review.questions(MEASURE), 2))
    review.save("evidence", marks([drawn], "cat"))
    changed = [
        image if image.key == drawn.key else replace(image, used_label=(image.used_label + 1) % 3)
        for image in review.images
    ]
    review.follow(changed, None)
    review.save("evidence", marks([following], "dog"))
    first, second = read_answers(review.file)
    assert first.before == NAMES[drawn.used_label]
    assert second.before == NAMES[(following.used_label + 1) % 3]
    assert first.model != second.model == review.model


def test_images_are_looked_through_from_the_most_doubtful(review: Review) -> None:
    expected = sorted(review.images, key=lambda image: image.used_confidence)
    seen: list[ReviewImage] = []
    while images := question(review, "images"):
        assert left(review, "images") == len(expected) - len(seen)
        seen += images
        review.save("images", marks(images, "cat"))
    assert seen == expected
    assert left(review, "images") == 0


def test_images_of_one_class_are_looked_through(review: Review) -> None:
    place = TaskPlace(task="images", label=1)
    images = [image for sheet in review.questions(place) for image in sheet]
    assert {image.used_label for image in images} == {1}
    later = [
        image for sheet in review.questions(place.model_copy(update={"skip": 5})) for image in sheet
    ]
    assert later == images[5:]


def test_labels_of_a_refused_model_are_measured_and_not_shown(tmp_path: Path) -> None:
    accepted = made_up_review(tmp_path / "run", NAMES)
    keep_zero_shot(tmp_path / "run")
    refused = Review(Run(RunFolder(tmp_path / "run")))
    assert refused.evidence() == accepted.evidence()
    assert question(refused, "evidence")[0].key == question(accepted, "evidence")[0].key
    in_file = refused.run.rows.pseudo_labels.adapted
    assert {image.row: image.used_label for image in refused.images} == dict(enumerate(in_file))
    for label in range(len(NAMES)):
        sheets = refused.questions(TaskPlace(task="images", label=label))
        assert sum(map(len, sheets)) == in_file.count(label)


def test_undo_asks_again(review: Review) -> None:
    (first_key, second_key) = answered(review, 2)
    review.undo(review.answers()[second_key].time)
    assert [image.key for image in question(review, "evidence")] == [second_key]
    assert [*review.answers()] == [first_key]


def test_undo_gives_back_the_answer_before_and_leaves_later_answers(review: Review) -> None:
    images = question(review, "clusters")
    review.save("clusters", marks(images, "cat"))
    answers_before = review.answers()
    time = review.save("images", marks(images[:3], "dog"))
    later = review.save("evidence", marks(images[:1], "bird"))
    review.undo(time)
    assert [review.answers()[image.key].label for image in images[:4]] == ["bird", *["cat"] * 3]
    review.undo(later)
    assert review.answers()[images[0].key].label == "dog"
    review.undo(time)
    assert review.answers() == answers_before
    assert review.evidence().estimate.answered + review.evidence().estimate.agreeing == 0
    review.undo(answers_before[images[0].key].time)
    assert review.answers() == {}
    with pytest.raises(LatteError, match="not in the file"):
        review.undo("2001-01-01")


def test_groups_are_asked_once_and_the_most_doubtful_first(review: Review) -> None:
    doubts = []
    while images := question(review, "clusters"):
        (label,) = {image.adapted for image in images}
        doubts.append(
            sum(1 - image.adapted_confidence for image in review.images if image.adapted == label)
        )
        assert left(review, "clusters") == len(NAMES) - len(doubts) + 1
        review.save("clusters", marks(images, "dog"))
    assert len(doubts) == len(NAMES)
    assert doubts == sorted(doubts, reverse=True)


def test_a_group_is_asked_again_after_its_answers_have_taught(review: Review) -> None:
    while images := question(review, "clusters"):
        review.save("clusters", marks(images, None))
    review.since = now()
    assert left(review, "clusters") == len(NAMES)


def test_a_sheet_has_typical_and_doubtful_images(review: Review) -> None:
    images = question(review, "clusters")
    label = images[0].adapted
    ranked = sorted(
        (image.adapted_confidence for image in review.images if image.adapted == label),
        reverse=True,
    )
    assert [image.adapted_confidence for image in images] == [*ranked[:9], *ranked[-3:]]


def test_images_without_a_class_in_a_group_are_looked_through_later(review: Review) -> None:
    images = question(review, "clusters")
    review.save("clusters", [*marks(images[:10], "bird"), *marks(images[10:], None)])
    open_images = {image for sheet in review.questions(TaskPlace(task="images")) for image in sheet}
    assert len(open_images) == len(review.images) - 10
    assert {*images[10:]} < open_images


def test_doubtful_answers_are_shown_again_first_until_they_are_checked(review: Review) -> None:
    images = question(review, "images")
    review.save("images", marks(images, "dog"))
    review.since, review.doubtful = now(), (images[5].key,)
    shown = question(review, "images")
    assert shown[0] == images[5]
    assert not {*images[:5], *images[6:]} & {*shown}
    review.save("images", marks(shown[:1], "cat"))
    assert images[5] not in question(review, "images")


def test_photos_that_a_describer_names_otherwise_come_first(tmp_path: Path) -> None:
    run = made_up_review(tmp_path / "run", NAMES).run
    images = [*Review(run).images]
    labels = [NAMES[(image.used_label + (row != 3)) % 3] for row, image in enumerate(images)]
    answers = [
        Answer(image.key, "class", label, "model", "run", now(), by="lmm", reliability=row / 10)
        for row, (image, label) in enumerate(zip(images[:5], labels, strict=False))
    ]
    write_answers(run.folder.model_answers, answers)
    review = Review(run)
    assert review.disputed == tuple(images[row].key for row in (4, 2, 1, 0))
    assert [*question(review, "images")[:4]] == [images[row] for row in (4, 2, 1, 0)]
    review.save("images", marks(images[4:5], NAMES[images[4].used_label]))
    assert [*question(review, "images")[:3]] == [images[row] for row in (2, 1, 0)]


def test_answers_that_no_model_has_used_are_counted(review: Review) -> None:
    images = question(review, "clusters")
    review.save("clusters", [*marks(images[:10], "bird"), *marks(images[10:], None)])
    assert review.stored().unused == 10
    birds = {image.key: NAMES.index("bird") for image in images[:10]}
    (review.run.folder.corrected).write_text(json.dumps(birds))
    taught = Review(Run(review.run.folder))
    assert taught.stored().unused == 0
    time = taught.save("images", marks(images[:2], "cat"))
    taught.save("images", marks(images[2:3], "bird"))
    assert taught.stored().unused == 2
    taught.undo(time)
    assert taught.stored().unused == 0


def test_sheets_with_an_unknown_image_are_refused_and_leave_no_line(review: Review) -> None:
    with pytest.raises(LatteError):
        review.save(
            "clusters", [*marks(question(review, "clusters"), "cat"), Mark("no image", "none")]
        )
    assert not review.file.exists()


def test_the_next_step_after_teaching_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    review = made_up_review(tmp_path / "my run", NAMES)
    assert review.next_step(review.stored()) == ""
    images = question(review, "clusters")
    review.save("clusters", [*marks(images[:2], "cat"), *marks(images[2:], None)])
    command = "latte review 'my run' --learn"
    step = f"2 answers teach; next step: {command}"
    assert review.next_step(review.stored()) == step
    assert run_command_line(["review", "my run", "--show"]) == 0
    assert step in capsys.readouterr().out.splitlines()


def test_groups_alone_measure_nothing(review: Review) -> None:
    estimate_before = review.evidence().estimate
    while images := question(review, "clusters"):
        review.save("clusters", marks(images, "cat"))
    assert review.evidence().estimate == estimate_before


def test_images_of_groups_count_where_the_random_order_passes_them(review: Review) -> None:
    review.save("clusters", marks(question(review, "clusters"), "cat"))
    last = answered(review, 100)[-1]
    passed, disagreements = list[str](), review.population.disagreements
    for image in review.population.images:
        passed.append(image.key)
        if image.key == last:
            break
    assert len(passed) > 100
    assert review.evidence().estimate.answered >= sum(i.key in passed for i in disagreements)


@pytest.mark.parametrize(
    ("key", "kind", "label", "task"),
    [
        ("no image", "class", "cat", "evidence"),
        ("key 0", "class", "zebra", "evidence"),
        ("key 0", "class", None, "evidence"),
        ("key 0", "none", "cat", "evidence"),
        ("key 0", "class", "cat", "no task"),
    ],
)
def test_impossible_answers_are_refused(
    review: Review, key: str, kind: Any, label: str | None, task: Any
) -> None:
    with pytest.raises(LatteError):
        review.save(task, [Mark(key, kind, label)])
    assert not review.file.exists()


def test_a_taught_run_asks_about_other_images(tmp_path: Path) -> None:
    first_review = made_up_review(tmp_path / "first", NAMES)
    asked_keys = answered(first_review, 5)
    taught = tmp_path / "taught"
    made_up_review(taught, NAMES, corrections="review.jsonl")
    (taught / "corrected.json").write_text(
        json.dumps(
            {key: NAMES.index(first_review.answers()[key].label or "") for key in asked_keys}
        )
    )
    review = Review(Run(RunFolder(taught)))
    assert review.file == first_review.file == tmp_path / "review.jsonl"
    assert review.stored().unused == 0
    assert len(review.population.images) == len(first_review.population.images) - 5
    assert not {*answered(review, 20)} & {*asked_keys}


def test_answers_of_another_run_on_the_same_photos_count_and_measure_honestly(
    tmp_path: Path,
) -> None:
    asked = made_up_review(tmp_path / "first", NAMES)
    keys = answered(asked, 30)
    asked.save("images", [Mark(asked.images[-1].key, "none")])
    append_answers(asked.file, [Answer("a photo elsewhere", "class", "cat", "images", "x", now())])
    others = made_up_review(tmp_path / "second", (*NAMES, "fish"))
    assert others.answers().keys() == {*keys}, "no class of the first list fits, but fish may"
    reordered = made_up_review(tmp_path / "third", (*NAMES[1:], NAMES[0]))
    assert len({asked.model, others.model, reordered.model}) == 3
    scores = measured_labels(others.images, others.answers(), others.run.class_names, others.model)
    assert scores.answers == 0, "they were asked about the labels of the first run"
    assert len(scores.known) == 30
    assert others.evidence().estimate.answered == asked.evidence().estimate.answered > 0


def test_answers_in_the_folder_of_an_earlier_version_are_read_and_not_written(
    review: Review,
) -> None:
    (key,) = answered(review, 1)
    earlier = review.run.folder.earlier_review
    review.file.rename(earlier)
    content = earlier.read_bytes()
    assert [*Review(review.run).answers()] == [key]
    answered(review, 2)
    assert earlier.read_bytes() == content
    assert len(Review(review.run).answers()) == 3


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

    review.save("evidence", marks(review.population.disagreements[:1], "cat"))
    monkeypatch.setattr("latte.results.run_answers.read_answers", counted)
    review.save("evidence", marks(review.population.disagreements[-1:], "cat"))
    assert read == [review.file]


def test_the_number_of_questions_left_is_that_of_the_questions_asked(review: Review) -> None:
    answered(review, 5)
    upcoming = [image.key for (image,) in review.questions(TaskPlace(task="evidence"))]
    assert len(upcoming) == left(review, "evidence") == 195
    assert answered(review, 195) == upcoming
    assert question(review, "evidence") == ()
    assert left(review, "evidence") == 0


def test_answers_for_a_renamed_class_do_not_count_and_are_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked_keys = answered(made_up_review(tmp_path / "run", NAMES), 40)
    answers_before = made_up_review(tmp_path / "run", NAMES).answers()
    renamed = made_up_review(tmp_path / "run", ("cat", "hound", "bird"))
    stale = [key for key in asked_keys if answers_before[key].label == "dog"]
    assert 0 < len(stale) < 40
    assert renamed.answers().keys() == set(asked_keys) - set(stale)
    evidence = renamed.evidence()
    assert evidence.estimate.neither == 0
    assert question(renamed, "evidence")[0].key in stale
    line = f'{len(stale)} answers name classes not in your list, and do not count: "dog"'
    assert line in evidence.lines[-1]
    assert f"Replace the names in {tmp_path.name}/review.jsonl" in evidence.lines[-1]
    assert run_command_line(["review", str(tmp_path / "run"), "--show"]) == 0
    assert line in " ".join(capsys.readouterr().out.split())
    text = renamed.file.read_text().replace('"label": "dog"', '"label": "hound"')
    renamed.file.write_text(text)
    assert renamed.evidence().unknown == ""
    assert len(renamed.answers()) == 40


def test_the_nearest_name_of_a_renamed_class_is_shown(tmp_path: Path) -> None:
    answered(made_up_review(tmp_path / "run", NAMES), 8)
    evidence = made_up_review(tmp_path / "run", ("cats", "dogs", "birds")).evidence()
    assert evidence.estimate.answered == 0
    assert "8 answers name classes not in your list" in evidence.unknown
    assert "nearest: dogs)" in evidence.unknown
    reported = read_evidence(tmp_path / "run")
    assert reported is not None
    assert evidence.unknown in reported.lines


def test_class_names_in_another_case_or_unicode_form_are_the_same(tmp_path: Path) -> None:
    names = ("K\u00e4fer", "Katze", "Vogel")
    first_review = made_up_review(tmp_path / "run", names)
    for _ in range(40):
        (image,) = question(first_review, "evidence")
        first_review.save("evidence", marks([image], names[image.zero_shot]))
    renamed = made_up_review(tmp_path / "run", ("ka\u0308fer", "KATZE", "vogel"))
    evidence_before, evidence_after = first_review.evidence(), renamed.evidence()
    assert evidence_before == evidence_after
    assert {answer.label for answer in renamed.answers().values()} == {*renamed.run.class_names}


@pytest.mark.parametrize(
    ("options", "tasks_named"),
    [
        (["--learn", "--show"], "--learn: does not go with --show"),
        (["--learn", "--json"], "--learn: does not go with --json"),
    ],
)
def test_two_tasks_in_one_command_are_refused(
    review: Review, options: list[str], tasks_named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["review", str(review.run.folder.path), *options]) == 2
    assert tasks_named in capsys.readouterr().err


def test_no_answer_is_read_through_a_link(tmp_path: Path) -> None:
    review = made_up_review(tmp_path / "run", ("cat", "dog"))
    (tmp_path / "private").write_text("")
    review.file.symlink_to(tmp_path / "private")
    with pytest.raises(LatteError, match="this is a link"):
        review.stored()
