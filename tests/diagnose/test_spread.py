"""Variety of vectors against loops and extremes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from latte.diagnose.spread import effective_rank, mean_pairwise_cosine
from tests.diagnose.vectors import QUICKLY, drawn_labels, unit_rows


@QUICKLY
@given(st.integers(1, 8), st.integers(1, 6), st.integers(0, 10_000))
def test_both_equal_slow_loops_over_repeated_rows(distinct: int, width: int, seed: int) -> None:
    features = normalize(unit_rows(distinct, width, seed).double(), dim=1)
    counts = drawn_labels(distinct, 3, seed) + 1
    rows = features.repeat_interleave(counts, dim=0)
    cosines = [
        float(one @ other) for i, one in enumerate(rows) for j, other in enumerate(rows) if i != j
    ]
    found = mean_pairwise_cosine(features, counts)
    if cosines:
        assert found == pytest.approx(sum(cosines) / len(cosines), abs=1e-9)
    else:
        assert math.isnan(found)
    values = torch.linalg.svdvals(rows)
    shares = [float(value / values.sum()) for value in values]
    entropy = -sum(share * math.log(share) for share in shares if share > 0)
    assert effective_rank(features, counts) == pytest.approx(math.exp(entropy), rel=1e-4)


def test_one_text_for_everything_has_no_variety() -> None:
    row, count = unit_rows(1, 64, 0), torch.tensor([1000])
    assert mean_pairwise_cosine(row, count) == pytest.approx(1.0)
    assert effective_rank(row, count) == pytest.approx(1.0, abs=1e-3)


def test_orthogonal_rows_are_as_varied_as_can_be() -> None:
    ones = torch.ones(5)
    assert mean_pairwise_cosine(torch.eye(5), ones) == pytest.approx(0.0)
    assert effective_rank(torch.eye(5), ones) == pytest.approx(5.0)
