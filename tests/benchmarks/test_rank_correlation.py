"""Rank correlation against loops."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.rank_correlation import average_ranks, correlation_text, spearman

pytestmark = pytest.mark.thorough

FIGURES = st.lists(st.integers(0, 6).map(float), min_size=5, max_size=15)


def slow_ranks(values: Sequence[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def paired(data: st.DataObject, first: list[float]) -> list[float]:
    second = data.draw(
        st.lists(st.integers(0, 6).map(float), min_size=len(first), max_size=len(first))
    )
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    return second


@given(FIGURES)
def test_equal_values_share_the_mean_of_their_ranks(values: list[float]) -> None:
    assert average_ranks(torch.tensor(values)).tolist() == slow_ranks(values)


@given(FIGURES, st.data())
def test_rho_is_the_correlation_of_ranks(first: list[float], data: st.DataObject) -> None:
    second = paired(data, first)
    expected = statistics.correlation(slow_ranks(first), slow_ranks(second))
    found = float(spearman(torch.tensor(first), torch.tensor(second)))
    assert found == pytest.approx(expected, abs=1e-9)


@given(FIGURES, st.data())
def test_rho_sees_order_alone_and_turns_with_it(first: list[float], data: st.DataObject) -> None:
    one, other = torch.tensor(first), torch.tensor(paired(data, first))
    rho = float(spearman(one, other))
    assert float(spearman(one.exp(), other * 3 - 7)) == pytest.approx(rho, abs=1e-9)
    assert float(spearman(-one, other)) == pytest.approx(-rho, abs=1e-9)
    assert float(spearman(one, one)) == pytest.approx(1.0)


def test_a_constant_has_no_rho() -> None:
    values = [float(value) for value in range(8)]
    assert math.isnan(float(spearman(torch.ones(8), torch.tensor(values))))
    assert correlation_text([0.1] * 8, values) == "–"


def test_four_pairs_are_too_few_and_absent_figures_are_no_pairs() -> None:
    values = [0.1, 0.2, 0.3, math.nan, 0.5, 0.6]
    assert correlation_text(values, [1, 2, 3, 4, 5, math.nan]) == "–"
    assert correlation_text([*values, 0.7], [1, 2, 3, 4, 5, 6, 7]) == "+1.00"
