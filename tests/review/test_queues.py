"""The teaching queues: which images they ask about, in which order, and what an answer means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latte.interfaces import LatteError
from latte.results.finished import open_run
from latte.review.groups import (
    Features,
    Question,
    confused,
    least_fitting,
    near_duplicates,
    unsupported,
)
from latte.review.population import ReviewImage, teaches
from latte.review.queues import QueueName
from latte.review.session import Review
from tests.helpers.reviews import made_up_review

NAMES = ("cat", "dog", "bird")


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path, NAMES)


def unit(rows: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    found = np.asarray(rows, dtype=np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def asked(review: Review, queue: QueueName) -> Question:
    question = review.next(queue)
    assert question is not None
    assert all(teaches(one.key) for one in question.images)
    return question


def images(labels: list[tuple[int, int]]) -> list[ReviewImage]:
    """Images with these labels by zero-shot and adapted, less and less confident."""
    return [
        ReviewImage(f"key {row}", row, *both, confidence=1 - row / 100)
        for row, both in enumerate(labels)
    ]


def test_a_confident_sheet_has_24_images_of_one_class_and_the_rest_comes_later(
    review: Review,
) -> None:
    teaching = sum(teaches(one.key) for one in review.population.images)
    seen: list[ReviewImage] = []
    while (question := review.next("confident")) is not None:
        (label,) = question.options
        assert {one.adapted for one in question.images} == {label}
        assert len(question.images) <= 24
        confidence = [one.confidence for one in question.images]
        assert confidence == sorted(confidence, reverse=True)
        seen += question.images
        keys = [one.key for one in question.images]
        review.answer(keys, "class", NAMES[label], "confident")
    assert len(seen) == len({one.key for one in seen}) == teaching
    assert review.next("uncertain") is None


def test_confused_pairs_have_both_classes_as_options_with_an_example_of_each(
    review: Review,
) -> None:
    question = asked(review, "confused")
    assert all({one.zero_shot, one.adapted} == {*question.options} for one in question.images)
    examples = [one for one in question.examples if one is not None]
    assert [one.adapted for one in examples] == [*question.options]


def test_the_most_frequent_pair_comes_first_sorted_by_predicted_class() -> None:
    found = confused(images([(0, 1), (1, 2), (2, 1), (1, 2), (2, 2), (1, 2)]))
    assert [group.options for group in found] == [(1, 2), (0, 1)]
    assert [one.row for one in found[0].images] == [2, 1, 3, 5]
    assert [one and one.row for one in found[1].examples] == [None, 0]


def test_near_duplicates_are_one_group_and_other_images_are_in_none() -> None:
    rows = unit([[1, 0, 0], [0, 1, 0], [1, 0.05, 0], [0, 0, 1], [1, 0, 0.05], [0, 1, 0.01]])
    found = near_duplicates(images([(0, 1)] * 6), Features(rows, unit(np.eye(3))))
    assert [[one.row for one in group.images] for group in found] == [[0, 2, 4], [1, 5]]
    assert {*found[0].options} == {0, 1}


def test_a_class_without_images_gets_those_that_fit_it_best() -> None:
    rows = unit([[1, 0, 0.1], [1, 0, 0.9], [1, 0, 0.5], [0, 1, 0]])
    features = Features(rows, unit(np.eye(3)))
    (group,) = unsupported(images([(0, 0), (0, 0), (0, 0), (1, 1)]), {0, 1}, features)
    assert group.options == (2,)
    assert [one.row for one in group.images] == [1, 2, 0, 3]
    assert unsupported(images([(0, 0)]), {0, 1, 2}, features) == ()


def test_images_far_from_the_mean_of_their_class_come_first() -> None:
    rows = unit([[1, 0, 0], [1, 0.1, 0], [1, 0, 3], [0, 1, 0], [0, 1, 2]])
    found = least_fitting(
        images([(0, 0), (0, 0), (0, 0), (1, 1), (1, 1)]), Features(rows, unit(np.eye(3)))
    )
    assert found[0].row == 2
    assert {one.row for one in found[-2:]} == {0, 1}


@pytest.mark.parametrize("queue", ["confident", "confused"])
def test_deselected_images_of_a_sheet_are_asked_alone_and_the_sheet_is_not_repeated(
    review: Review, queue: QueueName
) -> None:
    question, before = asked(review, queue), review.standing(queue)
    keys = [one.key for one in question.images]
    review.answer(keys[1:], "class", "cat", queue, keys[:1])
    after = review.standing(queue)
    assert (after.answered, after.left) == (1, before.left - 1)
    answers = review.answers()
    assert [answers[key].kind for key in keys] == ["unsure", *["class"] * (len(keys) - 1)]
    while (single := review.next("uncertain")) is not None:
        review.answer([single.images[0].key], "none", None, "uncertain")
    assert review.answers()[keys[0]].kind == "none"


def test_a_sheet_without_a_selected_image_is_an_answer(tmp_path: Path) -> None:
    review = made_up_review(tmp_path, (*NAMES, "fish"))
    labels = tmp_path / "pseudo_labels.csv"
    labels.write_text(labels.read_text().replace("fish", "cat"))
    review = Review(open_run(tmp_path))
    question = asked(review, "unsupported")
    assert question.options == (3,)
    review.answer([], "class", "fish", "unsupported", [one.key for one in question.images])
    assert review.next("unsupported") is None
    assert review.standing("unsupported").answered == 1


def test_damaged_features_are_refused_with_their_file(review: Review) -> None:
    review.run.folder.zero_shot.write_bytes(b"damaged")
    assert review.next("clusters") is not None
    for queue in ("duplicates", "unsupported", "outliers"):
        with pytest.raises(LatteError) as caught:
            review.next(queue)
        assert caught.value.where == str(review.run.folder.zero_shot)
