"""Tests of the test doubles for other methods."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from latte.interfaces import (
    Batch,
    Classifier,
    EpochInfo,
    FeatureBank,
    NoOptions,
    PrototypeAggregator,
    Supervision,
)
from latte.toolkit.prototypes import LabelerPrototypes
from tests.helpers.method_doubles import (
    AgreementLabeler,
    MaskedCrossEntropy,
    StepTemplates,
    TwoPrototypes,
    class_means,
)
from tests.helpers.training_driver import CONTEXT, stream, take_step, training_start, unit_rows

CLASSES = torch.eye(3, dtype=torch.float64)


def batch_of(learner: str, *indices: int) -> Batch:
    return Batch(learner, torch.tensor(indices), epoch=0, step=0)


def centroids(rows: Tensor = CLASSES) -> LabelerPrototypes:
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    aggregator.start(training_start(rows))
    return aggregator


class TestAgreement:
    banks: ClassVar[dict[str, FeatureBank]] = {
        "left": FeatureBank(CLASSES[[0, 1, 1, 0]]),
        "right": FeatureBank(CLASSES[[0, 1, 2, 2]]),
    }

    def after_a_round(self) -> tuple[AgreementLabeler, EpochInfo]:
        labeler = AgreementLabeler(NoOptions(), CONTEXT)
        aggregators = {"left": centroids(), "right": centroids()}
        return labeler, labeler.on_epoch_start(self.banks, aggregators, epoch=0)

    def test_learners_get_own_labels_and_agreement_is_weighted(self) -> None:
        labeler, _ = self.after_a_round()
        features = CLASSES[[0, 0, 0]]

        (left,) = labeler.assign(batch_of("left", 3, 1, 2), features, centroids())
        (right,) = labeler.assign(batch_of("right", 3, 1, 2), features, centroids())

        assert left.labels.tolist() == [0, 1, 1]
        assert right.labels.tolist() == [2, 1, 2]
        assert left.weights.tolist() == right.weights.tolist() == [0.0, 1.0, 0.0]

    def test_centroids_are_each_learners_class_means(self) -> None:
        _, info = self.after_a_round()

        torch.testing.assert_close(info.classifiers["left"].weights, CLASSES)
        torch.testing.assert_close(info.classifiers["right"].weights, CLASSES)

    def test_labels_survive_a_checkpoint(self) -> None:
        labeler, _ = self.after_a_round()
        resumed = AgreementLabeler(NoOptions(), CONTEXT)

        resumed.load_state(labeler.state())

        for learner in self.banks:
            batch = batch_of(learner, 0, 1, 2, 3)
            (expected,) = labeler.assign(batch, CLASSES, centroids())
            (restored,) = resumed.assign(batch, CLASSES, centroids())
            assert torch.equal(restored.labels, expected.labels)
            assert torch.equal(restored.weights, expected.weights)


def test_class_means_are_unit_and_fall_back_to_the_old_row_of_an_empty_class() -> None:
    features = unit_rows(3, 3, seed=1)
    old = Classifier(CLASSES, torch.arange(3))

    means = class_means(features, torch.tensor([2, 0, 2]), old)

    torch.testing.assert_close(means[0], features[1])
    assert torch.equal(means[1], CLASSES[1])
    torch.testing.assert_close(means[2], normalize(features[0] + features[2], dim=0))


class TestMaskedCrossEntropy:
    loss = MaskedCrossEntropy(NoOptions(), CONTEXT)
    rows = unit_rows(3, 3, seed=1)
    images = unit_rows(4, 3, seed=2)

    def supervision(self, weights: list[float]) -> Supervision:
        return Supervision(
            stream([0, 2, 1, 0], weights), classifier=Classifier(self.rows, torch.arange(3))
        )

    def test_masked_loss_is_the_mean_over_counted_samples(self) -> None:
        learned = torch.tensor(7.0)

        loss = self.loss(self.images, self.supervision([1.0, 0.0, 0.0, 1.0]), learned)

        kept = 100 * self.images[[0, 3]] @ self.rows.T
        torch.testing.assert_close(loss, cross_entropy(kept, torch.tensor([0, 0])))

    def test_masked_loss_is_zero_without_agreement(self) -> None:
        assert self.loss(self.images, self.supervision([0.0] * 4), torch.tensor(1.0)) == 0


def test_two_agreeing_learners_take_one_step_each() -> None:
    start = unit_rows(3, 4, seed=1)
    text, visual = StepTemplates(NoOptions(), CONTEXT), LabelerPrototypes(NoOptions(), CONTEXT)
    aggregators: dict[str, PrototypeAggregator[Any]] = {"text": text, "visual": visual}
    for aggregator in aggregators.values():
        aggregator.start(training_start(start))
    banks = {name: FeatureBank(unit_rows(6, 4, seed=2)) for name in aggregators}
    labeler = AgreementLabeler(NoOptions(), CONTEXT)
    info = labeler.on_epoch_start(banks, aggregators, epoch=0)
    for name, aggregator in aggregators.items():
        aggregator.on_epoch_start(info, name)
    images = {name: unit_rows(6, 4, seed=2).requires_grad_() for name in aggregators}
    class_texts = {name: start.clone().requires_grad_() for name in aggregators}

    for name, aggregator in aggregators.items():
        take_step(
            [labeler],
            aggregator,
            MaskedCrossEntropy(NoOptions(), CONTEXT),
            batch_of(name, *range(6)),
            images[name],
            class_texts[name],
            {},
        )

    assert class_texts["text"].grad is not None
    assert class_texts["visual"].grad is None
    assert images["text"].grad is not None
    assert images["visual"].grad is not None
    assert torch.equal(visual.classifier().weights, info.classifiers["visual"].weights)


class TestTwoPrototypes:
    def two(self) -> TwoPrototypes:
        """Class 0: e0 and e1; class 1: e2 and, for want of images, e2 again."""
        aggregator = TwoPrototypes(NoOptions(), CONTEXT)
        images, labels = CLASSES[[1, 1]], torch.tensor([0, 0])
        aggregator.start(training_start(CLASSES[[0, 2]], images, labels))
        return aggregator

    def test_a_class_is_as_near_as_its_nearer_prototype(self) -> None:
        classifier = self.two().classifier()

        assert classifier.owners.tolist() == [0, 0, 1, 1]
        assert classifier.classes == 2
        assert self.two().similarities(CLASSES).tolist() == [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]

    def test_only_the_chosen_prototype_moves(self) -> None:
        aggregator = self.two()
        image = normalize(torch.tensor([[0.1, 0.9, 0.3]], dtype=torch.float64), dim=1)

        supervision = aggregator.supervise(stream([0]), {}, image)
        aggregator.update([supervision])

        weights = aggregator.classifier().weights
        assert torch.equal(weights[[0, 2, 3]], CLASSES[[0, 2, 2]])
        torch.testing.assert_close(weights[1], normalize(0.9 * CLASSES[1] + 0.1 * image[0], dim=0))

    @pytest.mark.parametrize("label", [0, 1])
    def test_sample_of_weight_zero_changes_no_prototype(self, label: int) -> None:
        aggregator = self.two()
        given = stream([label], [0.0])

        aggregator.update([aggregator.supervise(given, {}, unit_rows(1, 3, seed=3))])

        assert torch.equal(aggregator.classifier().weights, self.two().classifier().weights)

    def test_the_classifier_serves_a_loss_over_classes(self) -> None:
        image = CLASSES[[1]]
        supervision = self.two().supervise(stream([0]), {}, image)

        loss = MaskedCrossEntropy(NoOptions(), CONTEXT)(image, supervision, torch.tensor(1.0))

        assert loss < 1e-40

    def test_state_restores_two_prototypes(self) -> None:
        trained, resumed = self.two(), self.two()
        trained.update([trained.supervise(stream([0]), {}, unit_rows(1, 3, seed=3))])

        resumed.load_state(trained.state())

        assert torch.equal(resumed.classifier().weights, trained.classifier().weights)
        assert not torch.equal(resumed.classifier().weights, self.two().classifier().weights)
