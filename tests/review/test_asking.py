"""Images are looked through in the order of the doubt that an answer covers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from latte.models.similar_images import training_features
from latte.models.zero_shot import ImageFeatures, ZeroShot, save_zero_shot
from latte.review.asking import Asking, order_of_asking
from latte.review.session import Mark, Review
from latte.review.tasks import TaskPlace
from tests.helpers.reviews import made_up_review, with_series

NAMES = ("cat", "dog", "bird")


def asking_order_of(review: Review) -> Asking | None:
    return order_of_asking(review.run, review.images, review.answers(), training_features)


@pytest.fixture
def review(tmp_path: Path) -> Review:
    """A review of 300 images with features in three groups."""
    review = made_up_review(tmp_path / "run", NAMES, images=300)
    features = torch.eye(3).repeat(100, 1) + 0.1 * torch.randn(
        300, 3, generator=torch.Generator().manual_seed(0)
    )
    training = normalize(features, dim=1)
    zero_shot = ZeroShot(
        ImageFeatures(training, torch.zeros(0, 3)), torch.eye(3), torch.arange(300) % 3
    )
    save_zero_shot(review.run.folder.zero_shot, zero_shot)
    return review


def looked_through(review: Review, label: int | None = None) -> list[str]:
    place = TaskPlace(task="images", label=label)
    return [image.key for sheet in review.questions(place) for image in sheet]


def test_images_whose_answers_cover_most_doubt_come_first_and_the_rest_by_confidence(
    review: Review,
) -> None:
    review.asking = asking_order_of(review)
    assert review.asking is not None
    assert len(review.asking.keys) == 240
    keys = looked_through(review)
    assert tuple(keys[:240]) == review.asking.keys
    confidence = {image.key: image.used_confidence for image in review.images}
    confidences_after = [confidence[key] for key in keys[240:]]
    assert confidences_after == sorted(confidences_after) and len(confidences_after) == 60
    of_class = [confidence[key] for key in looked_through(review, label=1)]
    assert of_class == sorted(of_class)


def test_answered_images_are_left_out_and_the_end_is_said(review: Review) -> None:
    review.asking = asking_order_of(review)
    assert review.asking is not None and not review.asking.may_stop(review.answers())
    first_keys = review.asking.keys[:200]
    review.save("images", [Mark(key, "class", "cat") for key in first_keys])
    assert not {*first_keys} & {*looked_through(review)}
    assert review.asking.may_stop(review.answers())
    next_order = asking_order_of(review)
    assert next_order is not None and not {*first_keys} & {*next_order.keys}


def test_one_image_of_a_series_is_in_the_order(review: Review) -> None:
    review = with_series(review.run.folder.path, [number // 4 for number in range(300)])
    order = asking_order_of(review)
    assert order is not None
    series = {image.key: image.series for image in review.images}
    assert sorted(series[key] for key in order.keys) == [*range(75)]
    first_series = series[order.keys[0]]
    answered = next(
        image.key
        for image in review.images
        if image.series == first_series and image.key not in order.keys
    )
    review.save("images", [Mark(answered, "class", "cat")])
    next_order = asking_order_of(review)
    assert next_order is not None
    assert sorted(series[key] for key in next_order.keys) == [*({*range(75)} - {first_series})]


def test_a_run_without_features_is_looked_through_by_confidence(tmp_path: Path) -> None:
    review = made_up_review(tmp_path / "run", NAMES)
    assert asking_order_of(review) is None
    assert looked_through(review)
