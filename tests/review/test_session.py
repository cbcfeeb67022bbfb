"""A review of a run: the order of questions, and the strict split of evidence and teaching."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from latte.interfaces import LatteError
from latte.review.population import teaches
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


def test_three_of_four_questions_are_about_disagreements(review: Review) -> None:
    asked = answered(review, 24)
    differ = {one.key for one in review.population.disagreements}
    assert sum(key in differ for key in asked) == 18
    assert review.estimate().answered == 18
    assert review.estimate().gain.low < review.estimate().gain.high


def test_questions_end_when_all_images_are_answered(review: Review) -> None:
    asked = answered(review, 200)
    assert len(set(asked)) == 200
    assert review.next("evidence") is None
    assert review.estimate().gain.low == pytest.approx(review.estimate().gain.high)


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


def test_teaching_images_are_never_evidence(review: Review) -> None:
    question = review.next("uncertain")
    assert question is not None
    assert teaches(question.images[0].key)
    review.answer([question.images[0].key], "class", "cat", "uncertain")
    asked = answered(review, 90)
    assert not any(teaches(key) for key in asked)
    with pytest.raises(LatteError, match="never both"):
        review.answer([question.images[0].key], "class", "cat", "evidence")
    evidence = next(one.key for one in review.population.images if not teaches(one.key))
    with pytest.raises(LatteError, match="never both"):
        review.answer([evidence], "class", "cat", "uncertain")


def test_the_least_certain_images_come_first_and_classes_in_turn(review: Review) -> None:
    asked = []
    for _ in range(6):
        question = review.next("balanced")
        assert question is not None
        asked.append(question.images[0])
        review.answer([question.images[0].key], "unsure", None, "balanced")
    assert sorted(one.adapted for one in asked[:3]) == [0, 1, 2]
    left = review.next("uncertain")
    assert left is not None
    assert left.images[0].confidence <= min(
        one.confidence
        for one in review.population.images
        if teaches(one.key) and one.key not in review.answers()
    )


def test_undo_asks_again(review: Review) -> None:
    (first, second) = answered(review, 2)
    review.answer([second], "undo", None, "evidence")
    question = review.next("evidence")
    assert question is not None
    assert question.images[0].key == second
    assert [*review.answers()] == [first]


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
