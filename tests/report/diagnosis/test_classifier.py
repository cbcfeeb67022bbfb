"""Measures of a classifier: confidence, margins, labels, and its two closest classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.evaluate.similarities import diagnose
from latte.interfaces import Classifier
from latte.report.diagnosis import measures as module
from latte.report.diagnosis.measures import (
    change_measure,
    closest_classes,
    confidence,
    confidence_measures,
    usage_measure,
)
from latte.testing.fixtures import unit_rows
from tests.helpers.property_inputs import QUICKLY, one_each


@QUICKLY
@given(st.integers(1, 12), st.integers(2, 6), st.integers(0, 10_000))
def test_figures_equal_slow_loops(images: int, classes: int, seed: int) -> None:
    features, rows = unit_rows(images, 4, seed), unit_rows(classes, 4, seed + 1)
    found = confidence(features, one_each(rows), logit_scale=20.0)
    for index, feature in enumerate(features):
        cosines = [float(feature @ row) for row in rows]
        best, second = sorted(cosines, reverse=True)[:2]
        weights = [math.exp(20 * (cosine - best)) for cosine in cosines]
        shares = [weight / sum(weights) for weight in weights]
        assert int(found.labels[index]) == cosines.index(best)
        assert float(found.confidence[index]) == pytest.approx(max(shares), abs=1e-5)
        assert float(found.margin[index]) == pytest.approx(best - second, abs=1e-6)


def test_means_are_those_that_training_reports() -> None:
    features, classifier = unit_rows(50, 8, 0), one_each(unit_rows(7, 8, 1))
    values = {
        one.measure.key: one.value
        for one in confidence_measures(confidence(features, classifier, logit_scale=30.0))
    }
    reported = diagnose(classifier.similarities(features), 30.0)
    assert values["confidence"] == pytest.approx(reported.confidence, abs=1e-6)
    assert values["margin"] == pytest.approx(reported.margin, abs=1e-6)


def test_confidence_is_equal_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    features, classifier = unit_rows(11, 8, 0), one_each(unit_rows(5, 8, 1))
    whole = confidence(features, classifier, 30.0)
    monkeypatch.setattr(module, "IMAGES_PER_BLOCK", 4)
    parts = confidence(features, classifier, 30.0)
    for name, values in vars(whole).items():
        torch.testing.assert_close(getattr(parts, name), values)


def test_a_single_class_is_certain_and_has_no_margin() -> None:
    found = confidence(unit_rows(3, 4, 0), one_each(unit_rows(1, 4, 1)), 30.0)
    assert found.confidence.tolist() == [1.0] * 3
    assert found.margin.tolist() == [0.0] * 3


def test_siblings_of_one_class_do_not_compete() -> None:
    rows = unit_rows(2, 4, 1)
    twins = Classifier(rows[[0, 0, 1]], torch.tensor([0, 0, 1]))
    found, plain = (confidence(unit_rows(6, 4, 0), one, 30.0) for one in (twins, one_each(rows)))
    assert found.margin.tolist() == plain.margin.tolist()


def test_no_class_nearer_than_another_is_all_undecided() -> None:
    found = confidence(torch.eye(3)[:1], one_each(torch.eye(3)[[1, 1, 1, 1]]), 30.0)
    assert float(found.confidence) == pytest.approx(0.25)


@pytest.mark.parametrize(("labels", "share"), [([0, 1, 2, 3, 0], 1.0), ([2, 2, 2], 0.25)])
def test_share_of_classes_that_label_an_image(labels: list[int], share: float) -> None:
    assert usage_measure(torch.tensor(labels), 4).value == share


def test_share_of_labels_that_changed() -> None:
    found = change_measure(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2]))
    assert found.value == 0.25


def shuffled(classes: int, each: int, seed: int) -> Classifier:
    generator = torch.Generator().manual_seed(seed)
    owners = torch.arange(classes).repeat(each)[torch.randperm(classes * each, generator=generator)]
    return Classifier(unit_rows(classes * each, 5, seed), owners)


@QUICKLY
@given(st.integers(2, 6), st.integers(1, 3), st.integers(0, 10_000))
def test_largest_cosine_between_classes_equals_a_slow_loop(
    classes: int, each: int, seed: int
) -> None:
    classifier = shuffled(classes, each, seed)
    rows = list(zip(classifier.weights, classifier.owners.tolist(), strict=True))
    between = [float(a @ b) for a, own in rows for b, other in rows if own != other]
    assert closest_classes(classifier).value == pytest.approx(max(between), abs=1e-6)


def test_lengths_and_bias_change_no_direction() -> None:
    unit = shuffled(5, 2, 0)
    lengths = torch.linspace(0.5, 8, 10)
    scaled = Classifier(unit.weights * lengths[:, None], unit.owners, bias=lengths)
    assert closest_classes(scaled).value == pytest.approx(closest_classes(unit).value, abs=1e-5)


def test_closest_classes_are_equal_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = shuffled(7, 2, 0)
    whole = closest_classes(classifier).value
    monkeypatch.setattr(module, "_PROTOTYPES_PER_BLOCK", 3)
    assert closest_classes(classifier).value == pytest.approx(whole)


def test_collapsed_classes_are_alike_and_distinct_ones_are_not() -> None:
    assert closest_classes(one_each(torch.eye(4)[[1, 1, 1]])).value == pytest.approx(1.0)
    assert closest_classes(one_each(torch.eye(4)[:3])).value == pytest.approx(0.0)


def test_a_single_class_has_no_other() -> None:
    assert math.isnan(closest_classes(shuffled(1, 3, 0)).value)
