"""Intervals compared with hand-computed values, and their coverage."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.evaluate.metrics import accuracy_interval, paired_gain_interval
from latte.interfaces import Interval


@st.composite
def changes(draw: st.DrawFn) -> tuple[int, int, int]:
    """(won, lost, images)."""
    images = draw(st.integers(1, 10_000))
    won = draw(st.integers(0, images))
    return won, draw(st.integers(0, images - won)), images


class TestAccuracy:
    @pytest.mark.parametrize(
        ("correct", "images", "low", "high"),
        [
            (8, 10, 0.4901625, 0.9433178),
            (0, 10, 0.0, 0.2775328),
            (10, 10, 0.7224672, 1.0),
        ],
    )
    def test_known_wilson_intervals(
        self, correct: int, images: int, low: float, high: float
    ) -> None:
        interval = accuracy_interval(correct, images)
        assert interval.value == correct / images
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-6)

    @given(images=st.integers(1, 10**6), share=st.floats(0, 1))
    def test_interval_contains_its_value_within_0_and_1(self, images: int, share: float) -> None:
        interval = accuracy_interval(int(share * images), images)
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
        assert interval.low < interval.high

    @given(correct=st.integers(0, 500), wrong=st.integers(1, 500))
    def test_wilson_ends_satisfy_the_score_equation(self, correct: int, wrong: int) -> None:
        """Wilson's interval is all p with |share - p| <= z sqrt(p (1 - p) / n)."""
        images = correct + wrong
        interval = accuracy_interval(correct, images)
        for end in (interval.low, interval.high):
            reach = 1.959963984540054 * math.sqrt(end * (1 - end) / images)
            assert abs(correct / images - end) == pytest.approx(reach, abs=1e-9)


class TestPairedGain:
    def test_paired_interval_of_a_hand_computed_case(self) -> None:
        """1 won and 7 lost of 21: shares 2/23 and 8/23, their difference -6/23, its variance
        (10/23 - 36/529) / 23."""
        interval = paired_gain_interval(1, 7, 21)
        assert interval.value == pytest.approx(-6 / 21)
        assert (interval.low, interval.high) == pytest.approx((-0.5084, -0.0134), abs=1e-4)

    @given(changes())
    def test_interval_contains_its_value(self, change: tuple[int, int, int]) -> None:
        won, lost, images = change
        interval = paired_gain_interval(won, lost, images)
        assert interval.value == (won - lost) / images
        assert -1 <= interval.low <= interval.value <= interval.high <= 1

    @given(changes())
    def test_interval_is_antisymmetric_in_the_classifiers(
        self, change: tuple[int, int, int]
    ) -> None:
        won, lost, images = change
        gain, reverse_gain = (
            paired_gain_interval(won, lost, images),
            paired_gain_interval(lost, won, images),
        )
        assert (gain.low, gain.value, gain.high) == (
            -reverse_gain.high,
            -reverse_gain.value,
            -reverse_gain.low,
        )

    @given(images=st.integers(1, 10_000))
    def test_gain_of_equal_answers_is_zero(self, images: int) -> None:
        assert paired_gain_interval(0, 0, images) == Interval(0.0, 0.0, 0.0)

    @pytest.mark.parametrize(
        ("images", "won", "lost"), [(20, 0.15, 0.05), (40, 0.1, 0.05), (100, 0.1, 0.02)]
    )
    def test_adjusted_interval_covers_95_percent_unlike_the_normal_one(
        self, images: int, won: float, lost: float
    ) -> None:
        """The coverage is the exact sum over all outcomes."""

        def coverage(interval) -> float:  # type: ignore[no-untyped-def]
            total = 0.0
            for w in range(images + 1):
                for k in range(images + 1 - w):
                    low, high = interval(w, k)
                    if low <= won - lost <= high:
                        ways = math.comb(images, w) * math.comb(images - w, k)
                        unchanged_power = (1 - won - lost) ** (images - w - k)
                        total += ways * won**w * lost**k * unchanged_power
            return total

        def plain(w: int, k: int) -> tuple[float, float]:
            mean = (w - k) / images
            reach = 1.96 * math.sqrt(max(0.0, (w + k) / images - mean**2) / images)
            return mean - reach, mean + reach

        def adjusted(w: int, k: int) -> tuple[float, float]:
            interval = paired_gain_interval(w, k, images)
            return interval.low, interval.high

        assert coverage(adjusted) >= 0.95 > coverage(plain)
