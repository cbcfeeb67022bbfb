"""A person is asked about one image of a series, and the others share the answer."""

from __future__ import annotations

from latte.results.answers import Answer
from latte.results.one_per_series import one_per_series, shared_answers
from latte.results.population import ReviewImage

SERIES = (0, 1, 0, 2, 0, 1)
IMAGES = tuple(
    ReviewImage(f"key {number}", number, 0, 1, 0.5, 1, confidence, series)
    for number, (series, confidence) in enumerate(
        zip(SERIES, (0.3, 0.9, 0.8, 0.1, 0.8, 0.2), strict=True)
    )
)


def answer(number: int, time: str, label: str = "cat") -> Answer:
    return Answer(f"key {number}", "class", label, "images", "demo", time)


def test_the_most_confident_image_of_a_series_is_shown_in_its_place() -> None:
    assert [image.row for image in one_per_series(IMAGES)] == [1, 2, 3]
    assert [image.row for image in one_per_series(IMAGES, {"key 0", "key 5"})] == [0, 3, 5]


def test_images_without_an_answer_share_the_newest_of_their_series() -> None:
    answers = [answer(0, "2", "old"), answer(4, "3", "new"), answer(3, "1")]
    shared = shared_answers(IMAGES, {shared_answer.key: shared_answer for shared_answer in answers})
    labels = {key: shared_answer.label for key, shared_answer in shared.items()}
    assert labels == {"key 0": "old", "key 2": "new", "key 4": "new", "key 3": "cat"}


def test_images_alone_share_nothing() -> None:
    alone = [ReviewImage(f"key {number}", number, 0, 1, 0.5, 1, 0.5, number) for number in range(4)]
    answers = {newest.key: newest for newest in (answer(2, "1"), answer(9, "2"))}
    assert one_per_series(alone) == alone
    assert shared_answers(alone, answers) == answers
