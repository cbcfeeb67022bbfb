"""Labels that do not move are measured by random photos; labels that moved are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from latte.results.answers import UNSEEN, Answer, AnswerKind
from latte.results.measured_labels import LEAST_RANDOM, MeasuredLabels, measured_labels
from latte.results.population import ReviewImage

NAMES = ("cat", "dog")
IMAGES = [ReviewImage(f"key {n}", n, 0, 1, 0.5, 1, 0.5, series=n) for n in range(100)]


def answer(number: int, label: str | None, model: str = "new", queue: str = "evidence") -> Answer:
    kind: AnswerKind = "none" if label is None else "class"
    return Answer(f"key {number}", kind, label, queue, "", "", model=model)


def measured(*answers: Answer, images: list[ReviewImage] = IMAGES) -> MeasuredLabels:
    return measured_labels(images, {one.key: one for one in answers}, NAMES, "new")


def test_twenty_random_answers_measure_and_the_interval_contains_their_share() -> None:
    answers = [answer(n, "dog" if n % 4 else "cat") for n in range(20)]
    assert not measured(*answers[:-1]).is_enough
    found = measured(*answers)
    assert found.is_enough and found.answers == LEAST_RANDOM
    assert found.accuracy.value == pytest.approx(0.75)
    assert found.accuracy.low < 0.75 < found.accuracy.high
    assert found.zero_shot == pytest.approx(0.25)


def test_answers_after_the_first_unanswered_photo_wait() -> None:
    found = measured(*(answer(n, "dog") for n in (0, 1, 3, 4)))
    assert (len(found.drawn), found.others) == (2, 100)


def test_answers_about_earlier_labels_are_known_and_no_sample() -> None:
    earlier = [answer(n, "dog", model="old", queue="clusters") for n in range(50)]
    found = measured(*earlier, *(answer(n, None) for n in range(50, 75)))
    assert (len(found.known), len(found.drawn), found.others) == (50, 25, 50)
    assert found.accuracy.value == pytest.approx(0.5)
    assert found.accuracy.low == pytest.approx(0.5)
    assert found.accuracy.high < 0.75


def test_every_answer_gives_the_exact_accuracy() -> None:
    answers = [answer(n, "dog" if n % 5 else "cat") for n in range(100)]
    interval = measured(*answers).accuracy
    assert (interval.low, interval.high) == (pytest.approx(0.8), pytest.approx(0.8))


def test_photos_that_were_not_looked_at_or_left_out_of_a_group_do_not_measure() -> None:
    left_out = replace(answer(0, None, queue="clusters"), kind="unsure")
    for not_counted in (answer(0, "dog", queue=UNSEEN), left_out):
        assert measured(not_counted, answer(1, "dog")).drawn == []
    unsure = replace(answer(0, None), kind="unsure")
    assert measured(unsure).drawn == [(0, 1)]


def test_photos_of_a_series_share_an_answer_and_keep_their_own_labels() -> None:
    images = [replace(image, series=image.row // 2) for image in IMAGES]
    images[1] = replace(images[1], used_label=0)
    found = measured(answer(0, "dog"), images=images)
    assert found.drawn == [(1, 1), (0, 0)]
    assert found.answers == 1
