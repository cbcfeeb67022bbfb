"""The order in which a review shows doubtful images: the answer that covers most doubt first."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import torch
from torch import Tensor

from latte.results.one_per_series import one_per_series, shared_answers
from latte.results.population import ReviewImage
from latte.results.run import Run
from latte.review.order import Asking
from latte.review.session import Review
from latte.toolkit.asking import AskingOrder, asking_order

Features = Callable[[Run], Tensor | None]
"""Function from a run to unit features (N, D) of its training images; None if it has none."""

_IMAGES = 240
"""Number of images that are ordered by the doubt that answers cover; the rest by confidence."""


def order_of_asking(review: Review, features: Features) -> Asking | None:
    """Return the order for the newest model of a review; None if the run has no features.

    One image of each series is in the order.
    """
    images, training_features = one_per_series(review.images), features(review.run)
    if training_features is None:
        return None
    rows = [image.row for image in images]
    answered = shared_answers(review.images, review.answers())
    order = order_of_images(images, training_features[rows], answered, _IMAGES)
    return Asking(order, tuple(images[row].key for row in order.rows.tolist()))


def order_of_images(
    images: Sequence[ReviewImage], features: Tensor, answered: Container[str], count: int
) -> AskingOrder:
    """Return the `count` images to ask about first, from their unit features (N, D).

    `answered` has the content keys of the images with an answer.
    """
    return asking_order(
        features,
        torch.tensor([image.used_confidence for image in images]),
        torch.tensor([image.disagrees for image in images]),
        torch.tensor([image.key in answered for image in images]),
        count,
    )
