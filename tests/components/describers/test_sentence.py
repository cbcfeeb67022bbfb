from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.components.phrases import (
    LONGEST_PHRASE,
    SECTIONS,
    built_in_bank,
    sentence,
    with_article,
)

EVERYTHING = {
    "objects": ["guitar", "violin", "organ"],
    "materials": ["metal"],
    "colours": ["red"],
    "textures": ["smooth", "glossy"],
    "scenes": ["in a concert hall"],
}


def found(**sections: list[str]) -> dict[str, list[str]]:
    return {name: sections.get(name, []) for name in SECTIONS}


def test_everything_that_stands_out_is_said() -> None:
    assert sentence(EVERYTHING, 20) == (
        "a red metal guitar, like a violin or an organ, smooth and glossy, in a concert hall."
    )


@pytest.mark.parametrize(
    ("phrases", "expected"),
    [
        (found(objects=["owl"]), "an owl."),
        (found(objects=["owl", "eagle"]), "an owl, like an eagle."),
        (found(objects=["p", "q", "r", "s t"]), "a p, like a q, a r or a s t."),
        (found(objects=["owl"], colours=["brown"]), "a brown owl."),
        (found(objects=["cup"], materials=["icy"], textures=["wet"]), "an icy cup, wet."),
        (
            found(objects=["jeans"], colours=["blue"], scenes=["on a line"]),
            "blue jeans, on a line.",
        ),
    ],
)
def test_what_does_not_stand_out_is_left_out(phrases: dict[str, list[str]], expected: str) -> None:
    assert sentence(phrases, 20) == expected


def test_a_sentence_that_is_too_long_loses_its_least_important_parts() -> None:
    assert sentence(EVERYTHING, 16) == (
        "a red metal guitar, like a violin or an organ, smooth, in a concert hall."
    )
    assert sentence(EVERYTHING, 14) == (
        "a red metal guitar, like a violin, smooth, in a concert hall."
    )
    assert sentence(EVERYTHING, 8) == "a red metal guitar, in a concert hall."
    assert sentence(EVERYTHING, 3) == "a red guitar."
    assert sentence(EVERYTHING, 2) == "a guitar."


phrase = st.lists(
    st.sampled_from(["ab", "cd", "ef's", "of-it"]), min_size=1, max_size=LONGEST_PHRASE
)


@given(
    st.fixed_dictionaries(
        {
            name: st.lists(phrase.map(" ".join), min_size=name == "objects", max_size=most)
            for name, most in zip(SECTIONS, (5, 1, 1, 2, 1), strict=True)
        }
    ),
    st.integers(8, 50),
)
def test_no_sentence_is_longer_than_allowed(phrases: dict[str, list[str]], words: int) -> None:
    text = sentence(phrases, words)
    assert len(text.split()) <= words
    assert phrases["objects"][0] in text


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("apple", "an apple"),
        ("unicycle", "a unicycle"),
        ("umbrella", "an umbrella"),
        ("hourglass", "an hourglass"),
        ("house", "a house"),
        ("ukulele", "a ukulele"),
        ("French horn", "a French horn"),
        ("headphones", "headphones"),
        ("bus", "a bus"),
        ("pair of scissors", "a pair of scissors"),
        ("bowls of rice", "bowls of rice"),
        ("the moon", "the moon"),
        ("two cats", "two cats"),
        ("an old hat", "an old hat"),
        ("grass", "a grass"),
        ("lens", "a lens"),
    ],
)
def test_articles(phrase: str, expected: str) -> None:
    assert with_article(phrase) == expected


def test_few_built_in_objects_go_without_an_article() -> None:
    """Plurals have none; a singular that is taken for a plural would make this list longer."""
    bare = [name for name in built_in_bank().sections["objects"] if with_article(name) == name]
    assert sorted(bare) == [
        "binoculars",
        "headphones",
        "jeans",
        "pliers",
        "scissors",
        "shorts",
        "sunglasses",
        "trousers",
    ]
