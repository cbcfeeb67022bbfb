"""AUROC against a count of all pairs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.auroc import separation

SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@given(SCORES, SCORES)
def test_separation_counts_pairs(known_scores: list[int], unknown_scores: list[int]) -> None:
    wins = sum((a > b) + (a == b) / 2 for a in known_scores for b in unknown_scores)
    auroc = separation(torch.tensor(known_scores).float(), torch.tensor(unknown_scores).float())
    assert auroc == pytest.approx(wins / len(known_scores) / len(unknown_scores))
