"""Calibration by left-out answers: the likeliest factor, with a prior while answers are few."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from latte.evaluate.calibration import calibrated, mean_confidence
from latte.evaluate.left_out import answered_exponent, answered_scale, prior_factor

FLAT = {"growth": 0.0, "spread": 1e3}


def sample(images: int, scale: float, seed: int = 0, classes: int = 5) -> tuple[Tensor, Tensor]:
    """Return similarities, and answers drawn with the probabilities softmax(scale similarities)."""
    generator = torch.Generator().manual_seed(seed)
    similarities = torch.randn(images, classes, generator=generator)
    probabilities = (scale * similarities).softmax(dim=1)
    return similarities, probabilities.multinomial(1, generator=generator).squeeze(1)


def posterior(similarities: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Return the labels and probabilities of a posterior, the likeliest first."""
    best = (factor * similarities).softmax(dim=1).sort(dim=1, descending=True)
    return best.indices, best.values


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_many_answers_recover_the_scale_and_the_exponent(scale: float) -> None:
    similarities, answers = sample(4000, scale)
    fitted_scale = answered_scale(similarities, answers, 0.1, 1.0)
    assert fitted_scale == pytest.approx(scale, rel=0.1)
    labels, probabilities = posterior(similarities, 8.0)
    exponent = answered_exponent(labels, probabilities, answers, 0.1)
    assert 8 * exponent == pytest.approx(scale, rel=0.1)


def test_recovered_scale_makes_confidence_the_accuracy() -> None:
    similarities, answers = sample(4000, 1.0)
    is_right = similarities.argmax(dim=1) == answers
    scale = answered_scale(similarities, answers, 20.0, 20.0)
    assert mean_confidence(similarities, 20.0) > float(is_right.float().mean()) + 0.3
    assert mean_confidence(similarities, scale) == pytest.approx(
        float(is_right.float().mean()), abs=0.02
    )


def test_one_answer_stays_near_the_estimate_without_labels() -> None:
    similarities, answers = sample(1, 1.0)
    assert prior_factor(0.3, 1) == 0.3
    assert answered_scale(similarities, answers, 0.3, 1.0) == pytest.approx(0.3, rel=0.5)
    unlimited = answered_scale(similarities, similarities.argmax(dim=1), 0.3, 1.0, **FLAT)
    assert unlimited > 3


def test_more_answers_weigh_more_against_the_prior() -> None:
    """The estimate without labels is a tenth of what the answers say."""
    similarities, answers = sample(1000, 3.0)
    scales = [
        answered_scale(similarities[:number], answers[:number], 0.3, 1.0, growth=0.0)
        for number in (4, 40, 1000)
    ]
    assert 0.3 < scales[0] < scales[1] < scales[2] < 3.3


def test_prior_grows_with_the_number_of_answers() -> None:
    factors = [prior_factor(0.1, number) for number in (1, 10, 100)]
    assert factors == sorted(factors)
    assert factors[2] / factors[1] == pytest.approx(factors[1] / factors[0])


@pytest.mark.parametrize("are_right", [True, False])
def test_answers_of_one_kind_give_a_finite_factor_on_their_side(are_right: bool) -> None:
    similarities, _ = sample(30, 1.0)
    order = similarities.argsort(dim=1)
    answers = order[:, -1 if are_right else 0]
    labels, probabilities = posterior(similarities, 1.0)
    median = prior_factor(1.0, 30)
    factors = (
        answered_scale(similarities, answers, 1.0, 1.0),
        answered_exponent(labels, probabilities, answers, 1.0),
    )
    for factor in factors:
        assert 0.01 <= factor <= 100.01
        assert (factor > median) is are_right


def test_answers_of_one_class_calibrate_too() -> None:
    similarities, answers = sample(2000, 1.0)
    is_first = answers == 0
    fitted_scale = answered_scale(similarities[is_first], answers[is_first], 0.5, 1.0)
    assert 0.5 < fitted_scale < 2


def test_an_answer_that_is_not_stored_counts_as_a_wrong_label() -> None:
    labels, probabilities = torch.tensor([[0, 1]] * 20), torch.tensor([[0.9, 0.05]] * 20)
    right = answered_exponent(labels, probabilities, torch.zeros(20, dtype=torch.int64), 1.0)
    elsewhere = answered_exponent(labels, probabilities, torch.full((20,), 2), 1.0)
    assert elsewhere < 0.3 < right


def test_one_impossible_answer_does_not_decide_everything() -> None:
    """99 of 100 labels of probability 1 are right."""
    labels = torch.tensor([[0, 1]] * 100)
    probabilities = torch.tensor([[1.0, 0.0]] * 100)
    answers = torch.tensor([1] + [0] * 99)
    exponent = answered_exponent(labels, probabilities, answers, 1.0)
    confidence = torch.tensor([[1.0, 1e-12]]).pow(exponent)
    assert float(confidence[0, 0] / confidence.sum()) > 0.95


def test_a_single_class_is_not_calibrated() -> None:
    zeros = torch.zeros(9, dtype=torch.int64)
    assert answered_scale(torch.ones(9, 1), zeros, 0.3, 20.0) == 20.0
    assert answered_exponent(zeros.unsqueeze(1), torch.ones(9, 1), zeros, 0.3) == 1.0


@given(st.integers(0, 50), st.integers(1, 40), st.floats(0.02, 50))
def test_labels_do_not_change(seed: int, images: int, label_free: float) -> None:
    similarities, answers = sample(images, 1.0, seed)
    _, probabilities = posterior(similarities, 2.0)
    exponent = answered_exponent(
        probabilities.argsort(dim=1, descending=True), probabilities, answers, label_free
    )
    rows = calibrated(probabilities, exponent)
    assert bool((rows[:, :1] >= rows).all())
