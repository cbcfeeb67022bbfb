"""Prototypes that are what a labeler found for each class at the start of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.adapt.centroids import CentroidPrototypes
from latte.interfaces import NoOptions, RoundInfo
from tests.adapt.driver import CONTEXT, stream, training_start, unit_rows

CLASSES = torch.eye(3, dtype=torch.float64)


def centroids(rows: Tensor = CLASSES) -> CentroidPrototypes:
    aggregator = CentroidPrototypes(NoOptions(), CONTEXT)
    aggregator.start(training_start(rows))
    return aggregator


def test_they_take_the_centroids_of_their_own_learner() -> None:
    aggregator = centroids()
    found = unit_rows(3, 3, seed=1)

    aggregator.end_round(RoundInfo({"other": CLASSES.flip(0)}), "mine")
    assert torch.equal(aggregator.classifier().weights, CLASSES)

    aggregator.end_round(RoundInfo({"mine": found}), "mine")
    assert torch.equal(aggregator.classifier().weights, found)


def test_they_give_targets_and_class_weights_without_gradient() -> None:
    supervision = centroids().supervise(stream([1]), {}, CLASSES[:1])

    assert supervision.targets is not None
    assert torch.equal(supervision.targets, CLASSES[[1]])
    assert supervision.class_weights is not None
    assert not supervision.class_weights.requires_grad
    assert torch.equal(supervision.class_weights, CLASSES)


def test_state_restores_them() -> None:
    trained = centroids(unit_rows(3, 3, seed=1))
    resumed = centroids()

    resumed.load_state(trained.state())

    assert torch.equal(resumed.classifier().weights, trained.classifier().weights)
