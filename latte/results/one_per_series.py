"""One image per series for a person, whose answer about it is shared by all images of the series.

Answers are about images; a person is asked about one image of a series, because the others show the
same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from latte.results.answers import Answer
from latte.results.population import ReviewImage


def one_per_series(
    images: Sequence[ReviewImage], first_keys: Collection[str] = ()
) -> list[ReviewImage]:
    """Return the most confident image of each series, in the order of `images`.

    An image with one of the content keys `first_keys` is preferred.
    """
    shown: dict[int, ReviewImage] = {}

    def rank(image: ReviewImage) -> tuple[bool, float]:
        return image.key in first_keys, image.used_confidence

    for image in images:
        if rank(shown.setdefault(image.series, image)) < rank(image):
            shown[image.series] = image
    return [image for image in images if shown[image.series] is image]


def shared_answers(
    images: Sequence[ReviewImage], answers: Mapping[str, Answer]
) -> dict[str, Answer]:
    """Return `answers` by content key, and for images without one the answer about their series.

    If there are several answers about a series, it is the newest one.
    """
    newest: dict[int, Answer] = {}
    for image in images:
        answer = answers.get(image.key)
        if answer is not None and answer.time >= newest.setdefault(image.series, answer).time:
            newest[image.series] = answer
    shared = {image.key: newest[image.series] for image in images if image.series in newest}
    return {**shared, **answers}
