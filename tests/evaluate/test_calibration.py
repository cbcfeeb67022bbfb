"""Calibration without labels: expected accuracy, and the scale with this mean confidence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.evaluate.calibration import (
    calibrated,
    expected_accuracy,
    matching_exponent,
    matching_scale,
    mean_confidence,
)


def similarities(rows: int, classes: int, seed: int) -> torch.Tensor:
    return torch.rand(rows, classes, generator=torch.Generator().manual_seed(seed))


def test_expected_accuracy_of_zero_shot_labels_is_mean_confidence() -> None:
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]])
    assert expected_accuracy(probabilities, torch.tensor([0, 1])) == pytest.approx(0.65)


def test_expected_accuracy_is_at_most_the_agreement_with_zero_shot() -> None:
    probabilities = torch.tensor([[0.7, 0.2, 0.1]] * 4)
    labels = torch.tensor([0, 0, 0, 2])
    assert expected_accuracy(probabilities, labels) == pytest.approx((3 * 0.7 + 0.3) / 4)
    unsure = torch.tensor([[0.4, 0.3, 0.3]] * 4)
    assert expected_accuracy(unsure, torch.tensor([1, 1, 1, 0])) == pytest.approx(1 / 4)


@given(st.integers(2, 8), st.integers(0, 50), st.floats(0.35, 0.95))
def test_matching_scale_gives_the_wanted_mean_confidence(
    classes: int, seed: int, share: float
) -> None:
    rows = similarities(20, classes, seed)
    lowest, highest = mean_confidence(rows, 0.2), mean_confidence(rows, 2000)
    mean_wanted = lowest + share * (highest - lowest)
    scale = matching_scale(rows, mean_wanted, start=20.0)
    assert mean_confidence(rows, scale) == pytest.approx(mean_wanted, abs=1e-4)


def test_matching_scale_is_limited_to_a_factor_of_100() -> None:
    rows = similarities(20, 4, 0)
    assert matching_scale(rows, 0.0, start=20.0) == pytest.approx(0.2, rel=1e-3)
    assert matching_scale(rows, 1.1, start=20.0) == pytest.approx(2000, rel=1e-3)


def test_matching_scale_of_a_single_class_is_the_start() -> None:
    assert matching_scale(torch.ones(3, 1), 0.5, start=20.0) == 20.0


def test_matching_scale_calibrates_an_overconfident_classifier() -> None:
    """The model has three times the similarities that match its accuracy."""
    rows = similarities(2000, 5, 1)
    believed = (rows * 4).softmax(dim=1)
    loud = rows * 3
    expected = expected_accuracy(believed, loud.argmax(dim=1))
    assert matching_scale(loud, expected, start=4.0) == pytest.approx(4 / 3, rel=1e-3)


@given(st.integers(2, 5), st.integers(0, 50), st.floats(0.4, 0.95))
def test_matching_exponent_gives_the_wanted_mean_confidence(
    classes: int, seed: int, share: float
) -> None:
    probabilities = (
        (20 * similarities(20, classes, seed)).softmax(dim=1).sort(descending=True).values
    )
    confidence = [float(calibrated(probabilities, power)[:, 0].mean()) for power in (0.02, 50)]
    mean_wanted = confidence[0] + share * (confidence[1] - confidence[0])
    power = matching_exponent(probabilities, mean_wanted)
    assert float(calibrated(probabilities, power)[:, 0].mean()) == pytest.approx(
        mean_wanted, abs=1e-4
    )


@pytest.mark.parametrize("exponent", [0.01, 100])
def test_small_probabilities_stay_numbers(exponent: float) -> None:
    probabilities = calibrated(torch.tensor([[0.2, 0.1], [2e-30, 1e-30], [0.0, 0.0]]), exponent)
    assert probabilities[0].tolist() == pytest.approx(probabilities[1].tolist(), abs=1e-5)
    assert probabilities[0].sum() == pytest.approx(1)
    assert probabilities[2].tolist() == [0, 0]


def test_certain_images_and_single_classes_stay_as_they_are() -> None:
    assert calibrated(torch.tensor([1.0, 0.0]), 0.1).tolist() == [1.0, 0.0]
    assert matching_exponent(torch.ones(3, 1), 0.5) == 1.0


def test_large_powers_of_small_probabilities_are_no_zeros() -> None:
    flat = torch.tensor([0.002, *[0.998 / 999] * 999])
    assert float(calibrated(flat, 60.0)[0]) == pytest.approx(1.0, abs=1e-3)
