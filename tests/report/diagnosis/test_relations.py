"""Correlations of measures with the gains of classes and of runs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import ClassAccuracy, Evaluation, Interval
from latte.report.diagnosis.diagnosis import align, relate_runs
from latte.report.diagnosis.labelled import (
    CLASS_CONFIDENCE,
    CLASS_LABELS_KEPT,
    class_means,
    recall_gains,
    relate_classes,
)
from latte.report.diagnosis.measures import Measure, Measurement, Section
from tests.helpers.property_inputs import QUICKLY, drawn_labels

SURE = Measure("sure", "sure", "share", "how sure")
FLAT = Measure("flat", "flat", "index", "always the same")
REAL = Measure("real", "real gain", "points", "the gain", contains_gain=True)


def section(title: str, **values: float) -> Section:
    known = {one.key: one for one in (SURE, FLAT, REAL)}
    return Section(title, tuple(Measurement(known[key], value) for key, value in values.items()))


def evaluation(*counts: tuple[int, int]) -> Evaluation:
    none = Interval(0, 0, 0)
    return Evaluation("x", 1, none, 0, 0, tuple(ClassAccuracy(*one) for one in counts), none)


@QUICKLY
@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 10_000))
def test_class_means_equal_a_loop(images: int, count: int, seed: int) -> None:
    labels = drawn_labels(images, count, seed)
    values = torch.rand(images, generator=torch.Generator().manual_seed(seed))
    values[::3] = torch.nan
    found = class_means(values, labels, count).tolist()
    for index in range(count):
        own = [float(v) for v in values[labels == index] if not math.isnan(float(v))]
        if own:
            assert found[index] == pytest.approx(sum(own) / len(own), abs=1e-6)
        else:
            assert math.isnan(found[index])


def test_recall_gains_are_differences_of_shares() -> None:
    found = recall_gains(evaluation((1, 4), (0, 0), (3, 3)), evaluation((3, 4), (0, 0), (0, 3)))
    assert found[0] == 0.5
    assert math.isnan(found[1])
    assert found[2] == -1.0


def test_a_measure_of_classes_that_tells_the_gain_and_one_that_does_not() -> None:
    gains = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, math.nan]
    measured = {
        CLASS_CONFIDENCE: torch.tensor([1.0, 2, 3, 4, 5, 6, 7]),
        CLASS_LABELS_KEPT: torch.ones(7),
    }
    related, silent = relate_classes(measured, gains)
    assert related.measure is CLASS_CONFIDENCE
    assert related.values == (1, 2, 3, 4, 5, 6, 7)
    assert (related.correlation.pairs, related.correlation.rho) == (6, pytest.approx(1.0))
    assert math.isnan(silent.correlation.rho)


def test_runs_are_aligned_by_section_and_key() -> None:
    runs = [[section("a", sure=1.0)], [section("a", flat=0.5, sure=2.0), section("b", real=0.1)]]
    found = align(runs)
    assert [(row.section, row.measure.key) for row in found] == [
        ("a", "sure"),
        ("a", "flat"),
        ("b", "real"),
    ]
    assert found[0].values == (1.0, 2.0)
    assert math.isnan(found[1].values[0])
    assert found[1].values[1] == 0.5


def test_five_runs_are_related_to_their_gains_but_never_to_what_contains_them() -> None:
    gains = [0.1, 0.2, 0.3, 0.4, 0.5]
    runs = [[section("a", sure=-gain, flat=1.0), section("b", real=gain)] for gain in gains]
    sure, flat = relate_runs(runs, gains)
    assert (sure.measure, flat.measure) == (SURE, FLAT)
    assert (sure.lowest, sure.highest) == (-0.5, -0.1)
    assert sure.correlation.rho == pytest.approx(-1.0)
    assert math.isnan(flat.correlation.rho)


def test_four_runs_have_no_correlation() -> None:
    gains = [0.1, 0.2, 0.3, 0.4]
    (found,) = relate_runs([[section("a", sure=gain)] for gain in gains], gains)
    assert found.correlation.pairs == 4
    assert math.isnan(found.correlation.rho)


def test_a_measure_without_any_value_is_left_out() -> None:
    assert relate_runs([[section("a", sure=math.nan)]] * 5, [0.1] * 5) == []
