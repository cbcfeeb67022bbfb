"""Drift and collapse of prototypes, one or several a class, against loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.diagnose import prototypes as module
from latte.diagnose.prototypes import (
    closest_classes,
    cosine_to_start,
    drift_measures,
    likeness_measures,
)
from latte.interfaces import Classifier
from tests.diagnose.vectors import QUICKLY, one_each, unit_rows


def shuffled(classes: int, each: int, seed: int) -> Classifier:
    generator = torch.Generator().manual_seed(seed)
    owners = torch.arange(classes).repeat(each)[torch.randperm(classes * each, generator=generator)]
    return Classifier(unit_rows(classes * each, 5, seed), owners)


@QUICKLY
@given(st.integers(2, 6), st.integers(1, 3), st.integers(0, 10_000))
def test_figures_equal_slow_loops(classes: int, each: int, seed: int) -> None:
    classifier, start = shuffled(classes, each, seed), unit_rows(classes, 5, seed + 1)
    rows = list(zip(classifier.weights, classifier.owners.tolist(), strict=True))
    found = cosine_to_start(classifier, start).tolist()
    for index in range(classes):
        cosines = [float(row @ start[index]) for row, owner in rows if owner == index]
        assert found[index] == pytest.approx(sum(cosines) / each, abs=1e-6)
    between = [float(a @ b) for a, own in rows for b, other in rows if own != other]
    assert closest_classes(classifier) == pytest.approx(max(between), abs=1e-6)
    values = {one.measure.key: one.value for one in drift_measures(classifier, start)}
    assert values["cosine_to_start"] == pytest.approx(sum(found) / classes)
    assert values["lowest_cosine_to_start"] == pytest.approx(min(found))


def test_lengths_and_bias_change_no_direction() -> None:
    unit, start = shuffled(5, 2, 0), unit_rows(5, 5, 1)
    lengths = torch.linspace(0.5, 8, 10)
    scaled = Classifier(unit.weights * lengths[:, None], unit.owners, bias=lengths)
    for measure in (likeness_measures, lambda one: drift_measures(one, start)):
        expected = [one.value for one in measure(unit)]
        assert [one.value for one in measure(scaled)] == pytest.approx(expected, abs=1e-5)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = shuffled(7, 2, 0)
    whole = closest_classes(classifier)
    monkeypatch.setattr(module, "_ROWS_A_BLOCK", 3)
    assert closest_classes(classifier) == pytest.approx(whole)


def test_prototypes_that_did_not_move() -> None:
    start = unit_rows(4, 5, 0)
    assert [one.value for one in drift_measures(one_each(start), start)] == pytest.approx([1, 1])


def test_collapsed_classes_are_alike_and_distinct_ones_are_not() -> None:
    collapsed, distinct = (
        {one.measure.key: one.value for one in likeness_measures(one_each(rows))}
        for rows in (torch.eye(4)[[1, 1, 1]], torch.eye(4)[:3])
    )
    assert collapsed["closest_classes"] == pytest.approx(1.0)
    assert collapsed["class_rank"] == pytest.approx(1.0, abs=1e-4)
    assert distinct["closest_classes"] == pytest.approx(0.0)
    assert distinct["class_rank"] == pytest.approx(3.0)


def test_a_single_class_has_no_other() -> None:
    assert math.isnan(closest_classes(shuffled(1, 3, 0)))
