"""Order of the images that a review asks about, and when asking is no longer worth it."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.results.answers import Answer
from latte.results.one_per_series import one_per_series, shared_answers
from latte.results.population import ReviewImage
from latte.results.run import Run
from latte.toolkit.asking import AskingOrder, asking_order

Features = Callable[[Run], Tensor | None]
"""Function from a run to unit features (N, D) of its training images; None if it has none."""

_IMAGES = 240
"""Number of images that are ordered by the doubt that answers cover; the rest by confidence."""


@dataclass(frozen=True)
class Asking:
    """Images to ask about: those whose answers cover most doubt come first."""

    order: AskingOrder
    keys: tuple[str, ...]
    """Content keys of the images."""

    def may_stop(self, answered: Container[str]) -> bool:
        """Return True if the next ten answers are expected to change less than a point."""
        is_open = self._open(answered)
        return not AskingOrder(self.order.rows[is_open], self.order.gains[is_open]).is_worth_asking

    def expected_gain(self, answered: Container[str], count: int) -> float:
        """Return the share of labels that the next `count` answers are expected to put right."""
        return float(self.order.gains[self._open(answered)][:count].sum())

    def _open(self, answered: Container[str]) -> Tensor:
        return torch.tensor([key not in answered for key in self.keys], dtype=torch.bool)


def order_of_asking(
    run: Run, images: Sequence[ReviewImage], answers: Mapping[str, Answer], features: Features
) -> Asking | None:
    """Return the order for the labels of `images` in a review of `run`; None without features.

    `answers` are the answers so far by content key. One image of each series is in the order.
    """
    shown_images, training_features = one_per_series(images), features(run)
    if training_features is None:
        return None
    rows = [image.row for image in shown_images]
    answered = shared_answers(images, answers)
    order = order_of_images(shown_images, training_features[rows], answered, _IMAGES)
    return Asking(order, tuple(shown_images[row].key for row in order.rows.tolist()))


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
