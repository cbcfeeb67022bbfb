"""Calibration error against a loop over bins."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.evaluate.calibration import BINS, calibration_error

ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@given(ANSWERS)
def test_it_equals_a_loop_over_bins(answers: list[tuple[float, bool]]) -> None:
    error = 0.0
    for number in range(BINS):
        inside = [
            answer
            for answer in answers
            if max(1, math.ceil(answer[0] * BINS)) - 1 == min(number, BINS - 1)
        ]
        if inside:
            confidence = sum(answer[0] for answer in inside) / len(inside)
            accuracy = sum(answer[1] for answer in inside) / len(inside)
            error += abs(confidence - accuracy) * len(inside) / len(answers)
    measured_error = calibration_error(
        torch.tensor([answer[0] for answer in answers], dtype=torch.float64),
        torch.tensor([answer[1] for answer in answers]),
    )
    assert measured_error == pytest.approx(error, abs=1e-9)
