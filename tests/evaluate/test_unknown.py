"""Images of no class are named so, and how well scores tell them is measured right."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.evaluate.predictions import (
    NO_LABEL,
    NONE_OF_THEM,
    ClassScore,
    Prediction,
    separation,
    with_unknown,
)

ROWS = [
    Prediction("sure.jpg", (ClassScore("cat", 0.8, 0), ClassScore("dog", 0.1, 1))),
    Prediction("unsure.jpg", (ClassScore("cat", 0.3, 0), ClassScore("dog", 0.2, 1))),
]
scores = st.lists(st.integers(0, 5), min_size=1, max_size=12)


def test_low_score_puts_none_of_them_first() -> None:
    sure, unsure = with_unknown(ROWS, 0.5)
    assert sure == ROWS[0]
    assert unsure.classes == (ClassScore(NONE_OF_THEM, 0.3, NO_LABEL), ClassScore("cat", 0.3, 0))


def test_score_at_the_threshold_is_unchanged() -> None:
    assert [*with_unknown(ROWS, 0.3)] == ROWS


@given(scores, scores)
def test_separation_counts_pairs(known: list[int], unknown: list[int]) -> None:
    wins = sum((a > b) + (a == b) / 2 for a in known for b in unknown)
    found = separation(torch.tensor(known).float(), torch.tensor(unknown).float())
    assert found == pytest.approx(wins / len(known) / len(unknown))
