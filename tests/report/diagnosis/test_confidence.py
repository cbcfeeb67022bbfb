"""Confidence and margins against loops, and against the means that training reports."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.evaluate.similarities import diagnose
from latte.interfaces import Classifier
from latte.report.diagnosis import classifier as module
from latte.report.diagnosis.classifier import confidence, confidence_measures
from tests.helpers.unit_vectors import QUICKLY, one_each, unit_rows


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


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
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
