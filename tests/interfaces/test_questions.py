"""Questions with options: checks of the options, and strict reading of letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import Choice, ChoiceRequest, LatteError, Refusal

PETS = ChoiceRequest((), "Which?", ("cat", "a dog", "fish."), none_allowed=True)


@pytest.mark.parametrize(
    ("options", "none_allowed", "message"),
    [
        ((), True, "needs 2 to 26 options, and there are 0"),
        (("cat",), True, "needs 2 to 26 options, and there are 1"),
        (tuple(f"class {number}" for number in range(27)), False, "there are 27"),
        (tuple(f"class {number}" for number in range(26)), True, "there are 26"),
        (("cat", "dog", "cat"), False, "`cat` is there twice"),
        (("cat\n ", " cat"), False, "`cat` is there twice"),
        (("cat", "none of these"), True, "`none of these` is there twice"),
        (("cat", " "), False, "an option is empty"),
    ],
)
def test_wrong_options_are_refused(
    options: tuple[str, ...], none_allowed: bool, message: str
) -> None:
    with pytest.raises(LatteError, match=message):
        ChoiceRequest((), "Which?", options, none_allowed)


def test_26_options_are_allowed() -> None:
    many = ChoiceRequest((), "Which?", tuple(f"class {number}" for number in range(26)))
    assert many.letters[-1] == "Z"
    assert "Z. class 25" in many.question().prompt


def test_an_option_cannot_add_options() -> None:
    forged = ChoiceRequest((), "Which?", ("cat\nB. bird", "dog"))
    assert forged.question().prompt.splitlines()[1:3] == ["A. cat B. bird", "B. dog"]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" (B)\n", "B"),
        ("B.", "B"),
        ("B)", "B"),
        ("B. a dog", "B"),
        ("B: a dog.", "B"),
        ("(C) fish", "C"),
        ("D. none of these", "D"),
    ],
)
def test_letters_are_read(text: str, letter: str) -> None:
    assert PETS.letter(text) == letter


@pytest.mark.parametrize(
    "text",
    ["", "b", "E", "B. cat", "B a dog", "A dog", "A cat", "BC", "A or B", "a dog",
     "The answer is B", "I cannot tell.", "none of these", "Ⓑ", "B. a dog or C. fish"],
)  # fmt: skip
def test_nothing_is_guessed_from_other_texts(text: str) -> None:
    assert PETS.letter(text) is None
    assert isinstance(PETS.read(text), Refusal)


def test_none_of_these_is_apart_from_the_options() -> None:
    assert PETS.read("D") == Choice((0.0, 0.0, 0.0), none=1.0)
    assert PETS.choice([1, 1, 0, 2]) == Choice((0.25, 0.25, 0.0), none=0.5)


@given(st.lists(st.floats(), max_size=6))
def test_weights_give_probabilities_or_an_error(weights: list[float]) -> None:
    try:
        choice = PETS.choice(weights)
    except ValueError:
        return
    assert len(weights) == 4
    assert sum(choice.probabilities) + choice.none == pytest.approx(1)
    assert all(0 <= share <= 1 for share in (*choice.probabilities, choice.none))


@given(st.text())
def test_any_text_is_a_letter_or_a_refusal(text: str) -> None:
    assert isinstance(PETS.read(text), Choice | Refusal)
