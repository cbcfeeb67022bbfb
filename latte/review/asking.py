"""The order in which a review shows doubtful images: the largest expected gain first."""

from __future__ import annotations

import torch

from latte.review.order import Asking
from latte.review.session import Review
from latte.run.zero_shot import load_zero_shot
from latte.toolkit.asking import asking_order

_IMAGES = 240
"""Number of images that are ordered by their expected gain; the rest follows by confidence."""


def order_of_asking(review: Review) -> Asking | None:
    """Return the order for the newest model of a review; None if the run has no features."""
    path = review.run.folder.zero_shot
    if not path.exists():
        return None
    images, answers = review.images, review.answers()
    order = asking_order(
        load_zero_shot(path).training[[image.row for image in images]],
        torch.tensor([image.confidence for image in images]),
        torch.tensor([image.disagrees for image in images]),
        torch.tensor([image.key in answers for image in images]),
        _IMAGES,
    )
    return Asking(order, tuple(images[row].key for row in order.rows.tolist()))
