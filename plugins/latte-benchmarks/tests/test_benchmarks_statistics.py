"""Statistics over seeds against values computed by hand and printed in tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latte_benchmarks.statistics import (
    Spread,
    mean_gain,
    mean_gain_of_datasets,
    mean_spread,
    spread,
    t_quantile,
)

from latte.api import Interval

T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228}
T_TABLE |= {29: 2.045, 30: 2.042, 120: 1.980, 5000: 1.960}


@pytest.mark.parametrize(("degrees_of_freedom", "printed"), T_TABLE.items())
def test_t_quantiles_are_those_of_the_tables(degrees_of_freedom: int, printed: float) -> None:
    assert t_quantile(degrees_of_freedom) == pytest.approx(printed, abs=5e-4)


def test_mean_and_sample_deviation() -> None:
    accuracies = spread([0.70, 0.72, 0.77])
    assert accuracies.mean == pytest.approx(0.73)
    assert accuracies.deviation == pytest.approx((0.0026 / 2) ** 0.5)
    assert accuracies.runs == 3


def test_a_single_run_has_no_deviation() -> None:
    assert spread([0.7]) == Spread(0.7, None, 1)


def test_half_width_of_the_interval_of_a_mean() -> None:
    assert spread([0.01, 0.02, 0.06]).reach == pytest.approx(
        4.302653 * (0.0014 / 2) ** 0.5 / 3**0.5, abs=1e-8
    )
    assert spread([0.1]).reach is None


def test_interval_of_a_mean_gain_has_both_parts() -> None:
    gains = [Interval(0.0, -0.03, 0.04), Interval(0.02, -0.02, 0.06)]
    gain = mean_gain(gains)
    over_seeds = 12.7062047 * 0.0002**0.5 / 2**0.5
    assert gain.value == pytest.approx(0.01)
    assert gain.low == pytest.approx(0.01 - (over_seeds**2 + 0.00125) ** 0.5, abs=1e-8)
    assert gain.high == pytest.approx(0.01 + (over_seeds**2 + 0.0016) ** 0.5, abs=1e-8)
    assert mean_gain(gains[:1]) == gains[0]


def test_errors_of_datasets_are_independent() -> None:
    spreads = [Spread(0.5, 0.03, 3), Spread(0.7, 0.04, 3)]
    average = mean_spread(spreads)
    assert average.mean == pytest.approx(0.6)
    assert average.deviation == pytest.approx(0.025)
    assert mean_spread([spreads[0], Spread(0.7, None, 1)]).deviation is None
    gain = mean_gain_of_datasets([Interval(0.0, -0.03, 0.03), Interval(0.02, -0.02, 0.06)])
    assert gain.low == pytest.approx(0.01 - 0.025)
    assert gain.high == pytest.approx(0.01 + 0.025)


@given(st.integers(1, 300))
def test_more_seeds_need_a_smaller_factor(degrees_of_freedom: int) -> None:
    assert 1.9599 < t_quantile(degrees_of_freedom + 1) < t_quantile(degrees_of_freedom)
