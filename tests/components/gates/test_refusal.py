"""Answers that describe nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.components.gates.wording import RefusalGate, RefusalOptions
from tests.helpers.gate_judging import ANY_TEXT, reason


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
