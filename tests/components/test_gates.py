"""Gates of wording: length, refusals and repetition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.components.gates import (
    LengthGate,
    LengthOptions,
    RefusalGate,
    RefusalOptions,
    RepetitionGate,
    RepetitionOptions,
    repeated_share,
)
from latte.interfaces import Gate, GatedText, GateSubject
from tests.helpers.describe_doubles import context

LOOPS = RepetitionOptions(across=1.0)
COPIES = RepetitionOptions(within=1.0, across=0.5)
ANY_TEXT = st.text(min_size=1, max_size=200)
"""Including lone surrogates, marks without letters, and what no font has."""


def reasons(gate: type[Gate[Any]], options: Any, texts: Sequence[str]) -> list[str | None]:
    """Return the verdicts on `texts` about images of the class `cat`."""
    subject = GateSubject("image", "image", ("cat", "dog"))
    written = [GatedText(text, "cat", "What is shown?") for text in texts]
    return [*gate(options, context()).judge(written, subject)]


def reason(gate: type[Gate[Any]], options: Any, text: str) -> str | None:
    """Return the verdict on a single text."""
    (verdict,) = reasons(gate, options, [text])
    return verdict


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


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I cannot assist with that.",
        "I’m very sorry, I can’t see any image here.",
        "Sorry, no image.",
        "As an AI language model, I do not have eyes.",
        "As a large language model I only read text.",
        "Unfortunately, I cannot view images.",
        "It seems I am unable to view the photo.",
        "Unable to see the image",
        "I can't help with identifying people.",
        "I cannot clearly see what is shown.",
        "No image was provided.",
        "No photos attached, please upload one.",
        "Please provide the image you want me to describe.",
        "The image could not be loaded.",
        "The picture didn't load.",
        "This request goes against my guidelines.",
        "I do not have access to the picture.",
        "I don't see an image in your message.",
        "My apologies: there is nothing to see.",
        "WE APOLOGIZE FOR THE INCONVENIENCE",
    ],
)
def test_refusals_are_held_back(text: str) -> None:
    assert reason(RefusalGate, RefusalOptions(), text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "A dog that cannot see over the fence.",
        "A sign that says 'I can't breathe' held by a protester.",
        "A sorry-looking sofa on a pavement.",
        "An aid worker hands out bread.",
        "A robot assistant with a screen as a face.",
        "The image shows no people; the photo is not in focus.",
        "A picture of a picture hanging on a wall.",
        "An old man unable to open a jar.",
        "No images of birds are on the plate.",
        "A door with a note: please knock.",
        "A photo that is not available in colour would look like this.",
    ],
)
def test_descriptions_pass(text: str) -> None:
    assert reason(RefusalGate, RefusalOptions(), text) is None


def test_the_reason_quotes_the_phrase() -> None:
    verdict = reason(RefusalGate, RefusalOptions(), "Well, I'm  sorry about that.")
    assert verdict == "it says `i'm sorry`"


def test_more_phrases_are_plain_text_and_whole_words() -> None:
    options = RefusalOptions(also=("N/A (none)", "nothing to see"))
    assert reason(RefusalGate, options, "n/a  (NONE)") is not None
    assert reason(RefusalGate, options, "There is nothing\u00a0to see.") is not None
    assert reason(RefusalGate, options, "n/a none") is None
    assert reason(RefusalGate, options, "nothing to seed") is None


@pytest.mark.parametrize("phrase", ["", "  ", "..."])
def test_a_phrase_without_a_word_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="at least one word"):
        RefusalOptions(also=(phrase,))


@given(ANY_TEXT, st.lists(st.text("abc .", min_size=1).filter(lambda t: t.strip(" .") != "")))
def test_more_phrases_let_no_more_pass(text: str, also: list[str]) -> None:
    if reason(RefusalGate, RefusalOptions(), text) is not None:
        assert reason(RefusalGate, RefusalOptions(also=tuple(also)), text) is not None


def test_long_texts_of_almost_refusals_take_no_time() -> None:
    for almost in ("unable to ", "i'm not ", "no image ", "please provide a "):
        assert reason(RefusalGate, RefusalOptions(), almost * 20_000) is None


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
    texts: list[str], within: float, across: float, added_within: float, added_across: float
) -> None:
    strict = RepetitionOptions(within=within, across=across)
    lenient = RepetitionOptions(within=max(within, added_within), across=max(across, added_across))
    pairs = zip(
        reasons(RepetitionGate, strict, texts),
        reasons(RepetitionGate, lenient, texts),
        strict=True,
    )
    assert not [
        1
        for strict_reason, lenient_reason in pairs
        if strict_reason is None and lenient_reason is not None
    ]
