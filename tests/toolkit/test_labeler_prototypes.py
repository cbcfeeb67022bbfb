"""Prototypes taken from a labeler at the start of an epoch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from latte.interfaces import Classifier, EpochInfo, NoOptions
from latte.toolkit.prototypes import LabelerPrototypes
from tests.helpers.training_driver import CONTEXT, stream, training_start, unit_rows

CLASSES = torch.eye(3, dtype=torch.float64)


def centroids(rows: Tensor = CLASSES) -> LabelerPrototypes:
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    aggregator.start(training_start(rows))
    return aggregator


def random(biased: bool = True, owners: tuple[int, ...] = (1, 0, 2)) -> Classifier:
    """Rows of length 3, with a bias and a row of "none of these"."""
    rows = 3 * unit_rows(len(owners), 3, seed=1)
    bias, none = (unit_rows(1, width, seed=2)[0] for width in (len(owners), 4))
    optional = (bias, none) if biased else (None, None)
    return Classifier(rows, torch.tensor(owners), *optional)


def same(classifier: Classifier, other_classifier: Classifier) -> bool:
    return all(
        part is other_part or torch.equal(part, other_part)
        for part, other_part in zip(
            vars(classifier).values(), vars(other_classifier).values(), strict=True
        )
    )


@pytest.mark.parametrize("biased", [False, True])
def test_they_take_the_whole_classifier_of_their_own_learner(biased: bool) -> None:
    aggregator = centroids()
    classifier = random(biased)

    aggregator.on_epoch_start(EpochInfo({"other": random()}), "mine")
    assert torch.equal(aggregator.classifier().weights, CLASSES)

    aggregator.on_epoch_start(EpochInfo({"mine": classifier}), "mine")
    assert same(aggregator.classifier(), classifier)


@pytest.mark.parametrize("owners", [(1, 0, 2), (0, 1, 0, 1, 2)])
def test_targets_are_the_labels_rows_that_score_highest_at_unit_length(
    owners: tuple[int, ...],
) -> None:
    aggregator, classifier = centroids(), random(owners=owners)
    assert classifier.bias is not None
    aggregator.on_epoch_start(EpochInfo({"mine": classifier}), "mine")
    images, labels = unit_rows(6, 3, seed=5), [0, 1, 2, 1, 0, 0]
    supervision = aggregator.supervise(stream(labels), {}, images)
    assert supervision.targets is not None and supervision.classifier is not None
    assert same(supervision.classifier, classifier)
    for image, label, target in zip(images, labels, supervision.targets, strict=True):
        class_rows = [row for row, owner in enumerate(classifier.owners.tolist()) if owner == label]
        best = max(
            class_rows,
            key=lambda row: float(image @ classifier.weights[row] + classifier.bias[row]),
        )
        torch.testing.assert_close(target, classifier.weights[best] / 3)


def test_they_give_targets_and_a_classifier_without_gradient() -> None:
    supervision = centroids().supervise(stream([1]), {}, CLASSES[:1])

    assert supervision.targets is not None
    assert torch.equal(supervision.targets, CLASSES[[1]])
    assert supervision.classifier is not None
    assert not supervision.classifier.weights.requires_grad
    assert torch.equal(supervision.classifier.weights, CLASSES)


@pytest.mark.parametrize("biased", [False, True])
def test_state_restores_rows_owners_bias_and_none(biased: bool) -> None:
    trained, resumed = centroids(), centroids()
    trained.on_epoch_start(EpochInfo({"mine": random(biased)}), "mine")

    resumed.load_state(trained.state())

    assert same(resumed.classifier(), trained.classifier())
