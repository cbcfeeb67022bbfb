"""The two closest classes, with one or several prototypes each, against loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import Classifier
from latte.report.diagnosis import classifier as module
from latte.report.diagnosis.classifier import closest_classes
from tests.helpers.unit_vectors import QUICKLY, one_each, unit_rows


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


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = shuffled(7, 2, 0)
    whole = closest_classes(classifier).value
    monkeypatch.setattr(module, "_PROTOTYPES_PER_BLOCK", 3)
    assert closest_classes(classifier).value == pytest.approx(whole)


def test_collapsed_classes_are_alike_and_distinct_ones_are_not() -> None:
    assert closest_classes(one_each(torch.eye(4)[[1, 1, 1]])).value == pytest.approx(1.0)
    assert closest_classes(one_each(torch.eye(4)[:3])).value == pytest.approx(0.0)


def test_a_single_class_has_no_other() -> None:
    assert math.isnan(closest_classes(shuffled(1, 3, 0)).value)
