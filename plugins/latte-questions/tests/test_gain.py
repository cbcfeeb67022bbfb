"""The expected gain: raw gain, calibrated interval, and what the labeler reports."""

from __future__ import annotations

import pytest
import torch
from latte_questions.gain import HIGHEST, LOWEST, SHARE, calibrated, raw_gain


def test_the_raw_gain_counts_changed_labels_only() -> None:
    zero_shot = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.8, 0.0], [0.1, 0.1, 0.8]])
    adapted = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.9, 0.0], [0.2, 0.2, 0.6], [0.0, 0.0, 1.0]])
    assert raw_gain(zero_shot, adapted) == pytest.approx((0.8 + 0.4) / 4)
    assert raw_gain(zero_shot, zero_shot) == 0


def test_the_expected_gain_lies_within_an_interval_that_scales_with_the_raw_gain() -> None:
    gain = calibrated(0.3)
    assert (gain.value, gain.low) == pytest.approx((SHARE * 0.3, LOWEST * 0.3))
    assert gain.high == pytest.approx(HIGHEST * 0.3)
    assert gain.low < gain.value < gain.high
    assert calibrated(1.0).high <= 1
    assert calibrated(0.0).low == calibrated(0.0).high == 0
