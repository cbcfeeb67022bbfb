"""Figures that need no labels, compared with slow counting and at their extremes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.evaluate.similarities import agreement, diagnose


@given(st.integers(1, 40), st.integers(2, 9), st.integers(0, 10_000))
def test_figures_equal_slow_counting(images: int, classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    similarities = torch.rand(images, classes, generator=generator) * 2 - 1
    figures = diagnose(similarities, logit_scale=20.0)
    confidence, margin = 0.0, 0.0
    for row in similarities.tolist():
        best, second_best = sorted(row, reverse=True)[:2]
        confidence += 1 / sum(math.exp(20 * (value - best)) for value in row) / images
        margin += (best - second_best) / images
    assert figures.confidence == pytest.approx(confidence, rel=1e-4)
    assert figures.margin == pytest.approx(margin, abs=1e-5)


def test_a_single_class_has_no_margin() -> None:
    figures = diagnose(torch.tensor([[0.3], [0.1]]), logit_scale=10.0)
    assert (figures.margin, figures.confidence) == (0.0, 1.0)


def test_agreement_is_the_share_of_equal_labels() -> None:
    assert agreement(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2])) == 0.75
