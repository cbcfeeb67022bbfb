"""Confidence sequences: coverage at all sample sizes, exact ends, and mirrored values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from latte.evaluate.confidence_sequence import confidence_sequence, is_rejected, log_wealth

VALUES = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=40)


def test_95_percent_of_the_sequences_contain_the_mean_at_every_size() -> None:
    population = np.array([1.0] * 60 + [-1.0] * 30 + [0.0] * 30)
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(80):
        drawn = random.permutation(population)
        intervals = [confidence_sequence(drawn[:size], 120, -1, 1) for size in range(6, 119, 16)]
        covered += all(
            interval.low <= 0.25 + 1e-9 and interval.high >= 0.25 - 1e-9 for interval in intervals
        )
    assert covered >= 76


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_each_end_may_be_wrong_with_half_of_the_error_probability(level: float) -> None:
    """At an end, the gambler's capital is the reciprocal of this probability."""
    values = np.array([1.0, 1.0, 0.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0])
    interval = confidence_sequence([*values], 100, -1, 1, level)
    at_low = log_wealth(values, 100, -1, 1, interval.low).max()
    at_high = log_wealth(-values, 100, -1, 1, -interval.high).max()
    assert np.exp([at_low, at_high]) == pytest.approx(2 / (1 - level), rel=1e-4)


@given(VALUES)
def test_all_images_sampled_gives_the_exact_mean(values: list[float]) -> None:
    interval = confidence_sequence(values, len(values), -1, 1)
    assert interval.low == pytest.approx(interval.value, abs=1e-9)
    assert interval.high == pytest.approx(interval.value, abs=1e-9)


@given(VALUES, st.integers(0, 200))
def test_mirrored_values_mirror_the_interval(values: list[float], unsampled: int) -> None:
    interval = confidence_sequence(values, len(values) + unsampled, -1, 1)
    mirrored = confidence_sequence([-value for value in values], len(values) + unsampled, -1, 1)
    assert (interval.low, interval.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-9)
    assert interval.low <= interval.value <= interval.high


def test_no_answer_gives_all_that_is_possible() -> None:
    interval = confidence_sequence([], 10, -1, 1)
    assert (interval.low, interval.high) == (-1, 1)


def test_impossible_values_are_errors() -> None:
    with pytest.raises(ValueError, match="more than 1 images"):
        confidence_sequence([0, 0], 1, -1, 1)
    with pytest.raises(ValueError, match="not between"):
        confidence_sequence([2], 5, -1, 1)


@given(VALUES, st.integers(0, 60), st.floats(-0.99, 0.99))
def test_mean_is_rejected_where_the_interval_excludes_it(
    values: list[float], unsampled: int, mean: float
) -> None:
    population = len(values) + unsampled
    others = (population * mean - sum(values)) / max(unsampled, 1)
    assume(-1 < others < 1 and unsampled)  # else no population has this mean
    interval = confidence_sequence(values, population, -1, 1)
    assume(min(abs(interval.low - mean), abs(interval.high - mean)) > 1e-6)
    rejected = is_rejected(np.asarray(values), population, -1, 1, mean)
    assert rejected[-1] == (not interval.low <= mean <= interval.high)
