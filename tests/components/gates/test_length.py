"""Texts of too few or too many words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.components.gates.wording import LengthGate, LengthOptions
from tests.helpers.gate_judging import ANY_TEXT, reason


@pytest.mark.parametrize(
    ("words", "expected"),
    [(1, "1 word, fewer than 2"), (2, None), (4, None), (5, "5 words, more than 4")],
)
def test_both_limits_are_allowed_lengths(words: int, expected: str | None) -> None:
    options = LengthOptions(at_least=2, at_most=4)
    assert reason(LengthGate, options, "word " * words) == expected


def test_hyphens_do_not_make_two_words() -> None:
    assert reason(LengthGate, LengthOptions(at_least=1, at_most=2), "red-and-white bird") is None


@given(ANY_TEXT, st.integers(1, 20), st.integers(1, 20), st.integers(0, 5), st.integers(0, 5))
def test_wider_limits_hold_back_no_more(
    text: str, low: int, room: int, lower: int, higher: int
) -> None:
    narrow = LengthOptions(at_least=low, at_most=low + room)
    wide = LengthOptions(at_least=max(1, low - lower), at_most=low + room + higher)
    if reason(LengthGate, narrow, text) is None:
        assert reason(LengthGate, wide, text) is None


def test_limits_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValueError, match="at_least, which is 9"):
        LengthOptions(at_least=9, at_most=8)
