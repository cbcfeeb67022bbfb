"""The classes that a question offers as answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from latte.results.population import ReviewImage
from latte.review.tasks import ALL_SHOWN, Likely
from tests.helpers.reviews import made_up_review


def labelled(key: str, zero_shot: int, adapted: int) -> ReviewImage:
    """Return an image with these labels, in a run that uses the adapted model."""
    return ReviewImage(key, 0, zero_shot, adapted, 0.5, adapted, 0.5, series=0)


@pytest.mark.parametrize("classes", [2, 9, ALL_SHOWN])
def test_few_classes_are_all_offered_in_their_order(tmp_path: Path, classes: int) -> None:
    review = made_up_review(tmp_path / "run", [f"class {label}" for label in range(classes)])
    likely = Likely(review.images, classes)
    assert likely.labels(review.images[:1]) == tuple(range(classes))


def test_of_many_classes_the_likeliest_are_offered_in_an_order_that_shows_no_model() -> None:
    images = [
        labelled(f"{number}", zero_shot, adapted)
        for number, (zero_shot, adapted) in enumerate(
            [(30, 7)] * 5 + [(7, 20)] * 4 + [(30, 11)] * 3 + [(1, 2)] * 9 + [(2, 3)] * 9
        )
    ]
    likely = Likely(images, 40)
    assert likely.labels(images[:1]) == (1, 2, 3, 7, 11, 20, 30)
    swapped = labelled("swapped", 7, 30)
    assert likely.labels([swapped]) == likely.labels(images[:1])
    frequent_images = [labelled(f"more {label}", label, label) for label in (21, 22, 22, 23, 23)]
    assert Likely([*images, *frequent_images], 40).labels(images[:1]) == (
        2,
        3,
        7,
        11,
        20,
        21,
        22,
        23,
        30,
    )


def test_an_image_with_one_label_offers_it() -> None:
    image = labelled("alone", 39, 39)
    assert Likely([image], 40).labels([image]) == (39,)
    mixed = replace(image, used_label=4)
    assert Likely([mixed], 40).labels([mixed]) == (4, 39)
