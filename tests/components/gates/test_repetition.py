"""Loops, and one text for everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.components.gates.wording import RepetitionGate, RepetitionOptions, repeated_share
from tests.helpers.gate_judging import ANY_TEXT, reason, reasons

LOOPS = RepetitionOptions(across=1.0)
COPIES = RepetitionOptions(within=1.0, across=0.5)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0),
        ("red red", 0),
        ("red red red", 0),
        ("red red red red", 1 / 2),
        ("a b c a b c", 1 / 4),
        ("a b c d", 0),
    ],
)
def test_the_share_counts_sequences_of_three_words(text: str, share: float) -> None:
    assert repeated_share(text.split()) == pytest.approx(share)


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8), st.integers(8, 30))
def test_whatever_loops_for_long_is_held_back(block: list[str], times: int) -> None:
    assert reason(RepetitionGate, LOOPS, " ".join(block * times)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "a very, very small bird on a very thin branch",
        "a red car next to a red bus next to a blue wall",
        "a bird",
    ],
)
def test_ordinary_repetition_passes(text: str) -> None:
    assert reason(RepetitionGate, LOOPS, text) is None


def test_a_sentence_that_is_written_twice_is_held_back() -> None:
    text = "The bird sits on a branch. The bird sits on a branch."
    assert reason(RepetitionGate, LOOPS, text) == "40% of its word sequences are repetitions"


def test_a_text_for_more_than_a_share_is_held_back_and_the_others_pass() -> None:
    texts = ["an Object.", "a cat", "an object", "an  object", "a dog"]
    verdicts = reasons(RepetitionGate, COPIES, texts)
    same = "the same text 3 times among 5"
    assert verdicts == [same, None, same, same, None]
    assert reasons(RepetitionGate, COPIES, texts[1:]) == [None] * 4


def test_a_text_that_occurs_once_is_not_shared() -> None:
    assert reason(RepetitionGate, RepetitionOptions(across=0.0), "an object") is None


def test_wordless_texts_are_compared_by_what_they_show() -> None:
    assert reasons(RepetitionGate, COPIES, ["!", "?", "..."]) == [None] * 3


@given(
    st.lists(ANY_TEXT, min_size=1, max_size=6),
    *[st.floats(0, 1) for _ in range(4)],
)
def test_larger_shares_hold_back_no_more(
    texts: list[str], within: float, across: float, more: float, further: float
) -> None:
    strict = RepetitionOptions(within=within, across=across)
    lenient = RepetitionOptions(within=max(within, more), across=max(across, further))
    pairs = zip(
        reasons(RepetitionGate, strict, texts),
        reasons(RepetitionGate, lenient, texts),
        strict=True,
    )
    assert not [1 for first, second in pairs if first is None and second is not None]
