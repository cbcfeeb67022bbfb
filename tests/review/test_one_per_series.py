"""A review asks about one image of a series, and all images of the series share the answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.results.answers import TaskName, now
from latte.results.population import ReviewImage
from latte.review.session import Review
from latte.review.tasks import TaskPlace
from tests.helpers.review_questions import NAMES, answered, left, marks, question
from tests.helpers.reviews import made_up_review, with_series


@pytest.fixture
def review(tmp_path: Path) -> Review:
    """A review of 200 images, of which every fourth divides the models."""
    return made_up_review(tmp_path / "run", NAMES)


@pytest.fixture
def series_review(review: Review) -> Review:
    """A review of 200 images in series of four; series 40 has eight more."""
    return with_series(
        review.run.folder.path, [min(number // 4, 40) for number in range(172)] + [*range(41, 69)]
    )


def shown(review: Review, task: TaskName) -> list[ReviewImage]:
    return [image for images in review.questions(TaskPlace(task=task)) for image in images]


@pytest.mark.parametrize("task", ["images", "clusters"])
def test_one_image_of_a_series_is_shown_with_the_number_of_the_others(
    series_review: Review, task: TaskName
) -> None:
    images = shown(series_review, task)
    numbers = [image.series for image in images]
    assert len(numbers) == len({*numbers}) > 30
    other_counts = {image.series: image.others for image in images}
    assert {other_counts.get(0, 3), other_counts.get(40, 11), other_counts.get(50, 0)} == {3, 11, 0}
    for image in images:
        members = [member for member in series_review.images if member.series == image.series]
        assert image.used_confidence == max(member.used_confidence for member in members)


def test_an_answer_settles_its_series_in_the_tasks_that_show_labels(series_review: Review) -> None:
    hidden = min(
        (image for image in series_review.images if image.series == 40),
        key=lambda image: image.used_confidence,
    )
    time = series_review.save("images", marks([hidden], "cat"))
    assert 40 not in {image.series for image in shown(series_review, "images")}
    assert 40 not in {image.series for image in shown(series_review, "clusters")}
    assert [*series_review.answers()] == [hidden.key]
    series_review.undo(time)
    assert 40 in {image.series for image in shown(series_review, "images")}


def test_the_gain_is_measured_with_one_answer_for_each_series(series_review: Review) -> None:
    assert left(series_review, "evidence") == 69
    keys = answered(series_review, 12)
    series = {image.key: image.series for image in series_review.images}
    assert len({series[key] for key in keys}) == 12
    assert left(series_review, "evidence") == 57
    assert left(series_review, "images") == 57
    assert {image.series for image in shown(series_review, "images")} == {*range(69)} - {
        series[key] for key in keys
    }
    answered(series_review, 57)
    assert left(series_review, "evidence") == 0
    estimate = series_review.evidence().estimate
    assert (estimate.answered, estimate.series) == (50, 48)
    assert estimate.gain.low == pytest.approx(estimate.gain.high)


def test_a_mixed_group_leaves_its_series_open(series_review: Review) -> None:
    images = question(series_review, "clusters")
    series_review.save("clusters", marks(images, None))
    series = {image.series for image in images}
    assert series <= {image.series for image in shown(series_review, "images")}
    assert not series & {image.series for image in shown(series_review, "clusters")}


def test_a_doubtful_answer_is_shown_although_its_series_has_a_likelier_image(
    series_review: Review,
) -> None:
    hidden = min(
        (image for image in series_review.images if image.series == 40),
        key=lambda image: image.used_confidence,
    )
    series_review.save("images", marks([hidden], "cat"))
    series_review.doubtful, series_review.since = (hidden.key,), now()
    assert shown(series_review, "images")[0] == hidden


def test_without_series_every_image_is_shown(review: Review) -> None:
    assert len(shown(review, "images")) == 200
    assert {image.others for image in review.images} == {0}


def test_series_that_taught_the_model_are_not_asked_about(review: Review) -> None:
    folder = review.run.folder.path
    (folder / "corrected.json").write_text('{"key 5": 1}')
    taught = with_series(folder, [number // 4 for number in range(200)])
    assert taught.labelled == {"key 5"}
    assert {image.series for image in taught.images} == {*range(50)} - {1}
