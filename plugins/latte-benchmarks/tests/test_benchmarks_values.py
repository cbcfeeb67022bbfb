"""Values on the command line, separated by commas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latte_benchmarks.values import combinations, parse_seeds, split_values

from latte.api import LatteError

pytestmark = pytest.mark.thorough

PLAIN = st.text(st.characters(exclude_characters=",[]{}'\"", exclude_categories=["Cs"]))
DOUBLE_QUOTED = st.text(max_size=8).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
SINGLE_QUOTED = st.text(max_size=8).map(lambda text: "'" + text.replace("'", "''") + "'")
ATOMS = PLAIN | DOUBLE_QUOTED | SINGLE_QUOTED
BRACKETED = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(inner, max_size=3).map(lambda items: f"{{a: {', b: '.join(items)}}}")
    ),
    max_leaves=6,
)


@given(st.lists(BRACKETED, min_size=1, max_size=5))
def test_values_come_apart_where_they_were_joined(values: list[str]) -> None:
    assert split_values(",".join(values)) == values


@given(st.text(st.sampled_from("ab ,[]{}'\"\\:"), max_size=30))
def test_whatever_is_split_joins_to_what_it_was(text: str) -> None:
    assert ",".join(split_values(text)) == text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.9,0.99", ["0.9", "0.99"]),
        ("[0.9, 0.98],[0.8, 0.9]", ["[0.9, 0.98]", "[0.8, 0.9]"]),
        ("[{use: image},{use: group, size: 2}]", ["[{use: image},{use: group, size: 2}]"]),
        ('"a {class}, a flower.",none', ['"a {class}, a flower."', "none"]),
        ("it's,don't", ["it's", "don't"]),
        ("'it''s, so',b", ["'it''s, so'", "b"]),
        ("['a,b]',c],d", ["['a,b]',c]", "d"]),
        ("[1,2", ["[1,2"]),
        ("1],2", ["1]", "2"]),
        ("", [""]),
    ],
)
def test_examples(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_every_combination_the_last_key_fastest() -> None:
    assert combinations(["a=1,2", "b=x", "c=[3,4],5"]) == [
        ("a=1", "b=x", "c=[3,4]"),
        ("a=1", "b=x", "c=5"),
        ("a=2", "b=x", "c=[3,4]"),
        ("a=2", "b=x", "c=5"),
    ]
    assert combinations([]) == [()]


def test_a_constant_may_be_empty_a_listed_value_may_not() -> None:
    assert combinations(["a="]) == [("a=",)]
    for text in ("a=1,", "a=,1", "a=1, ,2"):
        with pytest.raises(LatteError, match="is empty"):
            combinations([text])


def test_a_key_is_given_once() -> None:
    with pytest.raises(LatteError, match="twice"):
        combinations(["a=1", "b=2", "a=3"])


def test_seeds_are_whole_numbers_each_once() -> None:
    assert parse_seeds("3, 1,3") == [3, 1]
    for text in ("", "1,", "-1", "1.5", "one", "²"):
        with pytest.raises(LatteError, match="is not a seed"):
            parse_seeds(text)
