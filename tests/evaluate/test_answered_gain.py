"""Gain on images without an answer: counted by changed labels, and its interval holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from latte.evaluate.answered_gain import (
    TRUST,
    AnsweredImages,
    UnansweredImages,
    answered_gain,
    expected_gains,
    zero_shot_accuracy,
)
from latte.evaluate.metrics import paired_gain_interval
from latte.interfaces import Interval, Posterior

MANY = 10**9
"""So many series that their number adds no variance."""


def answered(
    won: int, lost: int, neither: int, kept: int = 0, kept_right: int = 0
) -> AnsweredImages:
    """Return answers of class 0: so many changed labels of each kind, and of kept labels."""
    kinds = [(1, 0, won), (0, 1, lost), (1, 2, neither), (1, 1, kept), (0, 0, kept_right)]
    labels = [(zero_shot, taught) for zero_shot, taught, number in kinds for _ in range(number)]
    zero_shot, taught = torch.tensor(labels).T
    expected = (zero_shot != taught).double()
    return AnsweredImages(
        torch.zeros_like(zero_shot), zero_shot, taught, expected, torch.arange(len(labels))
    )


def others(changed: float, series: int, expected: float = 1.0) -> UnansweredImages:
    """Return images whose changed labels gain, by the fits, what those of `answered` do."""
    return UnansweredImages(changed, expected, series)


def repeated(single: AnsweredImages, copies: int) -> AnsweredImages:
    """Return the answers with so many copies of each, which are a series."""
    parts = (single.answers, single.zero_shot, single.taught, single.expected, single.series)
    return AnsweredImages(*(part.repeat_interleave(copies) for part in parts))


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_gain_is_that_of_changed_labels_times_their_share() -> None:
    gain = answered_gain(answered(6, 1, 1, kept=4, kept_right=3), others(0.4, MANY), widening=1.0)
    paired = paired_gain_interval(6, 1, 8)
    expected = [0.4 * end for end in (paired.value, paired.low, paired.high)]
    assert [gain.value, gain.low, gain.high] == pytest.approx(expected, abs=1e-6)


def test_answers_about_kept_labels_change_nothing() -> None:
    few, many = answered(3, 2, 1, kept=1), answered(3, 2, 1, kept=9, kept_right=30)
    assert answered_gain(few, others(0.3, 50)) == answered_gain(many, others(0.3, 50))


def test_models_that_label_alike_have_no_gain() -> None:
    assert answered_gain(answered(0, 0, 0, kept_right=9), others(0.0, 50)) == Interval(
        0.0, 0.0, 0.0
    )


def test_without_an_answer_about_a_changed_label_each_gain_is_possible() -> None:
    assert answered_gain(answered(0, 0, 0, kept_right=9), others(0.2, 50)) == Interval(
        0.0, -0.2, 0.2
    )


def test_equally_good_models_have_a_gain_of_zero_in_the_interval() -> None:
    gain = answered_gain(answered(5, 5, 2), others(0.5, 50))
    assert gain.value == 0
    assert gain.low == pytest.approx(-gain.high)
    assert gain.high > 0


@given(
    won=st.integers(0, 30),
    lost=st.integers(0, 30),
    neither=st.integers(0, 30),
    changed=st.floats(0.01, 1),
    series=st.integers(1, 1000),
)
def test_interval_holds_its_value_and_is_within_the_changed_share(
    won: int, lost: int, neither: int, changed: float, series: int
) -> None:
    gain = answered_gain(answered(won, lost, neither, kept=1), others(changed, series))
    assert -changed <= gain.low <= gain.value <= gain.high <= changed


def test_more_answers_make_the_interval_narrower() -> None:
    widths = [
        width(answered_gain(answered(3 * n, n, n), others(0.5, MANY))) for n in (1, 3, 10, 30)
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 3


def test_few_images_without_an_answer_make_the_interval_wider() -> None:
    answers = answered(12, 4, 4)
    widths = [width(answered_gain(answers, others(0.5, series))) for series in (MANY, 100, 20)]
    assert widths == sorted(widths)
    assert widths[2] > 1.2 * widths[0]


def test_copies_of_answers_in_a_series_make_the_interval_hardly_narrower() -> None:
    single = answered(20, 8, 12)
    alone, thrice = (
        answered_gain(answers, others(0.5, MANY)) for answers in (single, repeated(single, 3))
    )
    assert thrice.value == pytest.approx(alone.value)
    assert 0.9 < width(thrice) / width(alone) < 1.1


def test_zero_shot_accuracy_weighs_answers_by_the_changed_share() -> None:
    # A third of the changed labels was right before, and three quarters of the kept ones are.
    answers = answered(3, 2, 1, kept=1, kept_right=3)
    assert zero_shot_accuracy(answers, 0.2) == pytest.approx(0.2 / 3 + 0.8 * 0.75)
    assert zero_shot_accuracy(answered(1, 3, 0), 0.2) == 0.75
    assert zero_shot_accuracy(answered(0, 0, 0, kept=1, kept_right=1), 0.2) == 0.5


def drawn(images: int, changed: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return whether each image's label changes, and its gain: more often 1 than -1."""
    is_changed = torch.rand(images, generator=generator) < changed
    kinds = torch.tensor([0.6, 0.2, 0.2]).multinomial(images, True, generator=generator)
    return is_changed, (1 - kinds) * is_changed


def test_intervals_hold_though_answers_are_about_changed_labels_first() -> None:
    """Two thirds of the answers are about changed labels, which are a third of all labels."""
    generator = torch.Generator().manual_seed(0)
    held, held_by_pairs, errors = 0, 0, []
    for _ in range(400):
        is_changed, gains = drawn(400, 1 / 3, generator)
        chances = torch.where(is_changed, 4.0, 1.0)
        rows = chances.multinomial(60, generator=generator)
        is_other = torch.ones(400, dtype=torch.bool).index_fill(0, rows, False)
        truth, share = float(gains[is_other].double().mean()), is_changed[is_other]
        asked, was_changed = gains[rows], is_changed[rows]
        won, lost, neither = (int((asked[was_changed] == value).sum()) for value in (1, -1, 0))
        answers = answered(won, lost, neither, kept=int((~was_changed).sum()))
        unanswered = others(float(share.double().mean()), int(is_other.sum()))
        gain = answered_gain(answers, unanswered, 1.0)
        paired = paired_gain_interval(won, lost, 60)
        held += gain.low <= truth <= gain.high
        held_by_pairs += paired.low <= truth <= paired.high
        errors.append(gain.value - truth)
    assert held >= 0.93 * 400
    assert held_by_pairs < 0.7 * 400
    assert abs(sum(errors) / 400) < 0.01


def test_expected_gain_is_the_probability_minus_that_of_the_zero_shot_label() -> None:
    labels, probabilities = torch.tensor([[2, 0], [2, 0], [1, 2]]), torch.tensor([[0.75, 0.25]] * 3)
    found = expected_gains(Posterior(labels, probabilities), torch.tensor([0, 2, 0]))
    assert found.tolist() == [0.5, 0.0, 0.75]  # the third row does not have the zero-shot label


def test_others_are_described_by_their_changed_labels_alone() -> None:
    is_changed = torch.tensor([[True, False], [True, True]])
    expected = torch.tensor([[0.5, 0.0], [0.75, 1.0]])
    assert UnansweredImages.of(is_changed, expected, torch.tensor([4, 4])) == UnansweredImages(
        0.75, 0.75, 1
    )
    assert UnansweredImages.of(
        is_changed[:1, 1:], expected[:1, 1:], torch.tensor([4])
    ) == UnansweredImages(0.0, 0.0, 1)


def test_answers_about_harder_images_than_others_measure_the_gain_of_the_others() -> None:
    """The doubtful labels are asked about, and labels are right the less often for each doubt."""
    generator = torch.Generator().manual_seed(0)
    held, errors, errors_by_answers_alone = 0, [], []
    for _ in range(300):
        probability = 0.4 + 0.6 * torch.rand(300, generator=generator, dtype=torch.float64)
        is_right = torch.rand(300, generator=generator) < 1 - TRUST * (1 - probability)
        rows = (1.1 - probability).multinomial(50, generator=generator)
        is_other = torch.ones(300, dtype=torch.bool).index_fill(0, rows, False)
        answers = answered(int(is_right[rows].sum()), 0, int((~is_right[rows]).sum()))
        order = is_right[rows].int().argsort(descending=True)  # answers that won come first
        expected = replace(answers, expected=probability[rows][order])
        unanswered = others(1.0, 250, float(probability[is_other].mean()))
        found, truth = (
            answered_gain(expected, unanswered, 1.0),
            float(is_right[is_other].double().mean()),
        )
        held += found.low <= truth <= found.high
        errors.append(found.value - truth)
        errors_by_answers_alone.append(answered_gain(answers, others(1.0, 250)).value - truth)
    assert held >= 0.93 * 300
    assert abs(sum(errors) / 300) < 0.01
    assert sum(errors_by_answers_alone) / 300 < -0.1
