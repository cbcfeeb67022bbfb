"""Base class of labelers that label all images together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from latte_author.testing import PseudoLabelerContract
from latte_author.testing.doubles import FixedPrototypes
from torch import Tensor

from latte.interfaces import (
    Batch,
    Classifier,
    FeatureBank,
    NoOptions,
    Options,
    Posterior,
    PrototypeAggregator,
)
from latte.toolkit.labelers import JointLabeler, JointLabels
from tests.helpers.training_driver import CONTEXT, training_start, unit_rows


class Nearest(JointLabeler[NoOptions]):
    """Labels images by the learner's prototypes; images whose learners disagree have weight 0."""

    stream = "nearest"

    def label(
        self, learner: str, features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> JointLabels:
        similarities = aggregator.similarities(features)
        best = similarities.softmax(dim=1).topk(1, dim=1)
        posterior = Posterior(best.indices.cpu(), best.values.cpu()) if learner == "a" else None
        classifier = aggregator.classifier() if learner == "a" else None
        labels = similarities.argmax(dim=1)
        return JointLabels(labels, torch.ones(len(labels)), classifier, posterior)

    def combine(self, labels: Mapping[str, JointLabels]) -> Mapping[str, JointLabels]:
        opinions = torch.stack([joint.labels for joint in labels.values()])
        agreed = (opinions == opinions[0]).all(dim=0).float()
        return {name: replace(joint, weights=agreed) for name, joint in labels.items()}


class TestNearest(PseudoLabelerContract):
    def build(self) -> tuple[type[Nearest], Options]:
        return Nearest, NoOptions()


CLASSES = unit_rows(3, 8, seed=1).float()
IMAGES = {name: unit_rows(6, 8, seed).float() for seed, name in enumerate("ab", start=2)}


def started() -> Nearest:
    labeler = Nearest(NoOptions(), CONTEXT)
    labeler.start(training_start(CLASSES))
    return labeler


def aggregator() -> FixedPrototypes:
    prototypes = FixedPrototypes(NoOptions(), CONTEXT)
    prototypes.start(training_start(CLASSES))
    return prototypes


def begun() -> tuple[Nearest, Mapping[str, Classifier]]:
    labeler = started()
    banks = {name: FeatureBank(features) for name, features in IMAGES.items()}
    info = labeler.on_epoch_start(banks, {name: aggregator() for name in banks}, 0)
    return labeler, info.classifiers


def test_a_batch_gets_its_rows_of_the_labels_of_its_learner() -> None:
    labeler, _ = begun()
    labels = {name: (features @ CLASSES.T).argmax(dim=1) for name, features in IMAGES.items()}
    rows = torch.tensor([4, 1])
    for name in IMAGES:
        (stream,) = labeler.assign(Batch(name, rows, 0, 0), IMAGES[name][rows], aggregator())
        assert stream.name == "nearest"
        assert torch.equal(stream.labels, labels[name][rows])
        assert torch.equal(stream.weights, (labels["a"] == labels["b"])[rows].float())


def test_only_learners_with_a_classifier_or_posterior_give_one() -> None:
    labeler, classifiers = begun()
    assert {*classifiers} == {"a"}
    assert labeler.posterior("a") is not None
    assert labeler.posterior("b") is None
    assert started().posterior("a") is None


def test_restored_labeler_has_the_posterior_of_each_learner() -> None:
    labeler, _ = begun()
    restored = started()
    restored.load_state(labeler.state())
    posterior, expected = restored.posterior("a"), labeler.posterior("a")
    assert posterior is not None
    assert expected is not None
    assert torch.equal(posterior.labels, expected.labels)
    assert torch.equal(posterior.probabilities, expected.probabilities)
    assert restored.posterior("b") is None


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_scale_multiplies_the_loss_of_the_stream_and_zero_leaves_it_out(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    labeler, _ = begun()
    rows = torch.tensor([4, 1])
    batch = Batch("a", rows, 0, 0)
    (stream,) = labeler.assign(batch, IMAGES["a"][rows], aggregator())
    assert stream.scale == 1
    monkeypatch.setattr(Nearest, "scale", scale)
    streams = labeler.assign(batch, IMAGES["a"][rows], aggregator())
    assert [other.scale for other in streams] == ([scale] if scale else [])
    assert all(torch.equal(other.labels, stream.labels) for other in streams)
