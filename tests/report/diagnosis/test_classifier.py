"""Measures of a classifier: confidence, margins, labels, and its two closest classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from latte.evaluate.similarities import confidence_and_margin
from latte.interfaces import Classifier
from latte.report.diagnosis import measures as module
from latte.report.diagnosis.measures import (
    change_measure,
    closest_classes,
    confidence_measures,
    usage_measure,
)
from latte.testing.fixtures import unit_rows
from tests.helpers.property_inputs import QUICKLY, one_each


@QUICKLY
@given(st.integers(1, 12), st.integers(2, 6), st.integers(0, 10_000))
def test_figures_equal_slow_loops(images: int, classes: int, seed: int) -> None:
    features, rows = unit_rows(images, 4, seed), unit_rows(classes, 4, seed + 1)
    confidences, margins = confidence_and_margin(features @ rows.T, 20.0)
    for index, feature in enumerate(features):
        cosines = [float(feature @ row) for row in rows]
        best, second = sorted(cosines, reverse=True)[:2]
        weights = [math.exp(20 * (cosine - best)) for cosine in cosines]
        shares = [weight / sum(weights) for weight in weights]
        assert float(confidences[index]) == pytest.approx(max(shares), abs=1e-5)
        assert float(margins[index]) == pytest.approx(best - second, abs=1e-6)


def means(features: Tensor, classifier: Classifier) -> list[float]:
    return [one.value for one in confidence_measures(features, classifier, 30.0)]


def test_means_are_those_of_all_images() -> None:
    features, classifier = unit_rows(50, 8, 0), one_each(unit_rows(7, 8, 1))
    expected = confidence_and_margin(classifier.similarities(features), 30.0)
    assert means(features, classifier) == pytest.approx([float(one.mean()) for one in expected])


def test_a_single_class_is_certain_and_has_no_margin() -> None:
    assert means(unit_rows(3, 4, 0), one_each(unit_rows(1, 4, 1))) == [1.0, 0.0]


def test_siblings_of_one_class_do_not_compete() -> None:
    rows = unit_rows(2, 4, 1)
    twins = Classifier(rows[[0, 0, 1]], torch.tensor([0, 0, 1]))
    found, plain = (means(unit_rows(6, 4, 0), one) for one in (twins, one_each(rows)))
    assert found == plain


def test_no_class_nearer_than_another_is_all_undecided() -> None:
    found, _ = means(torch.eye(3)[:1], one_each(torch.eye(3)[[1, 1, 1, 1]]))
    assert found == pytest.approx(0.25)


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
