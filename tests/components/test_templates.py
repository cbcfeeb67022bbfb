"""Template prototypes are class text features, with gradient on request."""

from __future__ import annotations

import torch

from latte.components.latteclip import ContrastiveLoss, CurrentLabeler, StreamOptions
from latte.components.prototypes import TemplateOptions, TemplatePrototypes
from latte.interfaces import Batch, ClassFeatureRefresh, NoOptions
from tests.helpers.training_driver import CONTEXT, stream, take_step, training_start, unit_rows


def templates(refresh: ClassFeatureRefresh = "start") -> TemplatePrototypes:
    aggregator = TemplatePrototypes(TemplateOptions(refresh=refresh), CONTEXT)
    aggregator.start(training_start(unit_rows(4, 8, seed=1)))
    return aggregator


def test_prototypes_start_as_the_zero_shot_classifier() -> None:
    images = unit_rows(5, 8, seed=2)

    torch.testing.assert_close(templates().similarities(images), images @ unit_rows(4, 8, seed=1).T)


def test_the_engine_learns_from_the_instance_when_to_refresh() -> None:
    assert templates("start").class_features_refresh == "start"
    assert templates("epoch").class_features_refresh == "epoch"
    assert templates("step").class_features_refresh == "step"


def test_targets_are_the_labels_rows_and_the_classifier_has_all_rows() -> None:
    label_stream = stream([3, 0, 3])

    supervision = templates().supervise(label_stream, {}, unit_rows(3, 8, seed=3))

    rows = unit_rows(4, 8, seed=1)
    assert supervision.stream is label_stream
    assert supervision.targets is not None
    assert supervision.classifier is not None
    torch.testing.assert_close(supervision.targets, rows[[3, 0, 3]])
    torch.testing.assert_close(supervision.classifier.weights, rows)
    assert supervision.classifier.owners.tolist() == [0, 1, 2, 3]


def test_refreshed_rows_carry_gradient_to_targets_and_classifier() -> None:
    aggregator = templates("step")
    fresh = unit_rows(4, 8, seed=4).requires_grad_()
    aggregator.refresh_class_features(fresh)
    supervision = aggregator.supervise(stream([1, 1]), {}, unit_rows(2, 8, seed=5))
    assert supervision.targets is not None
    assert supervision.classifier is not None

    (by_target,) = torch.autograd.grad(supervision.targets.sum(), fresh)
    (by_class,) = torch.autograd.grad(supervision.classifier.weights.sum(), fresh)

    assert by_target[1].tolist() == [2.0] * 8
    assert by_target[[0, 2, 3]].count_nonzero() == 0
    assert by_class.tolist() == [[1.0] * 8] * 4


def test_after_a_step_no_graph_is_kept() -> None:
    aggregator = templates("step")
    aggregator.refresh_class_features(unit_rows(4, 8, seed=4).requires_grad_())

    aggregator.update([])

    supervision = aggregator.supervise(stream([0]), {}, unit_rows(1, 8, seed=5))
    assert supervision.targets is not None
    assert not supervision.targets.requires_grad


def test_flyp_is_current_labels_on_templates_with_gradient() -> None:
    images = unit_rows(6, 8, seed=6).requires_grad_()
    class_texts = unit_rows(4, 8, seed=7).requires_grad_()

    result = take_step(
        [CurrentLabeler(StreamOptions(), CONTEXT)],
        templates("step"),
        ContrastiveLoss(NoOptions(), CONTEXT),
        Batch("main", torch.arange(6), epoch=0, step=0),
        images,
        class_texts,
        {},
    )

    labels = result.supervisions[0].stream.labels
    assert labels.tolist() == (images @ class_texts.T).argmax(dim=1).tolist()
    assert class_texts.grad is not None
    assert images.grad is not None
    taught = class_texts.grad.abs().sum(dim=1) > 0
    assert taught.tolist() == [label in labels.tolist() for label in range(4)]
