"""The interval about labels that stand still is simulated as the page shows it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.frozen_model import LEAST, FrozenLabels, covered_reviews
from latte.evaluate.confidence_sequence import confidence_sequence


def test_accuracy_counts_photos_that_were_named_before() -> None:
    assert FrozenLabels(np.array([1.0, 0.0, 0.0, 1.0]), 4).accuracy == 6 / 8


def test_covered_reviews_are_those_whose_every_interval_holds() -> None:
    labels = FrozenLabels(np.array([1.0] * 30 + [0.0] * 70), 0)
    random = np.random.default_rng(3)
    expected = []
    for _ in range(20):
        drawn = random.permutation(labels.is_right)[:60]
        holds = [
            interval.low - 1e-6 <= 0.3 <= interval.high + 1e-6
            for size in range(1, 61)
            if (interval := confidence_sequence(drawn[:size], 100, 0, 1))
        ]
        expected.append(np.logical_and.accumulate(holds)[LEAST - 1 :])
    assert np.array_equal(covered_reviews(labels, 20, seed=3), np.array(expected))


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_labels_that_are_all_alike_are_always_covered(right: float) -> None:
    assert covered_reviews(FrozenLabels(np.full(80, right), 0), 5, seed=0).all()
