"""Frozen labels stay constant; current labels follow the prototypes."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from latte.components.latteclip import (
    CurrentLabeler,
    FrozenLabeler,
    MomentumOptions,
    MomentumPrototypes,
    StreamOptions,
)
from latte.interfaces import Batch
from tests.helpers.training_driver import CONTEXT, training_start, unit_rows


def batch_of(*indices: int) -> Batch:
    return Batch("main", torch.tensor(indices), epoch=0, step=0)


def prototypes(class_features: Tensor) -> MomentumPrototypes:
    aggregator = MomentumPrototypes(MomentumOptions(), CONTEXT)
    aggregator.start(training_start(class_features))
    return aggregator


def test_frozen_labels_are_looked_up_by_training_image() -> None:
    labeler = FrozenLabeler(StreamOptions(), CONTEXT)
    classes = torch.eye(3)
    labeler.start(training_start(classes, zero_shot_labels=torch.tensor([2, 0, 1, 1, 0])))

    (stream,) = labeler.assign(batch_of(4, 0, 2), unit_rows(3, 3, seed=0), prototypes(classes))

    assert stream.name == "frozen"
    assert stream.labels.tolist() == [0, 2, 1]
    assert stream.weights.tolist() == [1.0, 1.0, 1.0]


def test_current_labels_are_the_nearest_prototypes_now() -> None:
    labeler = CurrentLabeler(StreamOptions(), CONTEXT)
    images = torch.eye(3)[[1, 2, 2]]

    (labels_before,) = labeler.assign(batch_of(0, 1, 2), images, prototypes(torch.eye(3)))
    (labels_after,) = labeler.assign(batch_of(0, 1, 2), images, prototypes(torch.eye(3).roll(1, 0)))

    assert labels_before.name == "current"
    assert labels_before.labels.tolist() == [1, 2, 2]
    assert labels_before.weights.tolist() == [1.0, 1.0, 1.0]
    assert labels_after.labels.tolist() == [2, 0, 0]


def test_ties_go_to_the_lowest_class() -> None:
    twins = torch.eye(3)[[2, 0, 0, 1]]
    labeler = CurrentLabeler(StreamOptions(), CONTEXT)

    (stream,) = labeler.assign(batch_of(0, 1), torch.eye(3)[[0, 0]], prototypes(twins))

    assert stream.labels.tolist() == [1, 1]


@pytest.mark.parametrize(("weights", "scales"), [((0.5, 2.0), [0.5, 2.0]), ((0, 0), [])])
def test_each_stream_has_its_own_scale_and_none_of_weight_zero_exists(
    weights: tuple[float, float], scales: list[float]
) -> None:
    classes = torch.eye(2)
    frozen = FrozenLabeler(StreamOptions(weight=weights[0]), CONTEXT)
    frozen.start(training_start(classes))
    current = CurrentLabeler(StreamOptions(weight=weights[1]), CONTEXT)

    streams = [
        *frozen.assign(batch_of(0), classes[:1], prototypes(classes)),
        *current.assign(batch_of(0), classes[:1], prototypes(classes)),
    ]

    assert [stream.scale for stream in streams] == scales


def test_weights_are_not_negative() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        StreamOptions(weight=-0.1)
