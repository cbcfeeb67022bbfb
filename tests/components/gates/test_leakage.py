"""Gate `leakage`: texts that name a class."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.components.gates.leakage import LeakageGate, LeakageOptions, NameFinder, singulars
from latte.interfaces import LatteError
from tests.helpers.gate_judging import ANY_TEXT, reason

NAMES = ("bear", "polar bear", "T-shirt", "horse", "golden_retriever", "Fireman", "glasses", "🦊")


def named(text: str, names: tuple[str, ...] = NAMES) -> list[set[str]]:
    return [{*classes} for classes in NameFinder(names).found(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A BEAR in the woods", ["bear"]),
        ("two bears, three horses", ["bear", "horse"]),
        ("a polar bear", ["polar bear"]),
        ("the polar bear's den", ["polar bear"]),
        ("bear and polar bears", ["bear", "polar bear"]),
        ("a polar landscape", []),
        ("a polar", []),
        ("unbearable bearings of the forbear", []),
        ("a t shirt, t-shirts", ["T-shirt", "T-shirt"]),
        ("Golden Retrievers at play", ["golden_retriever"]),
        ("three firemen", ["Fireman"]),
        ("a man with glasses, a glass", ["glasses", "glasses"]),
        ("🦊", []),
        ("", []),
    ],
)
def test_names_are_found_as_whole_words_and_in_the_plural(text: str, expected: list[str]) -> None:
    assert named(text) == [{name} for name in expected]


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("cats", "cat"),
        ("buses", "bus"),
        ("horses", "horse"),
        ("berries", "berry"),
        ("wolves", "wolf"),
        ("knives", "knife"),
        ("potatoes", "potato"),
        ("peaches", "peach"),
        ("women", "woman"),
        ("mice", "mouse"),
        ("cacti", "cactus"),
        ("pies", "pie"),
    ],
)
def test_plurals_have_their_singular(plural: str, singular: str) -> None:
    assert singular in singulars(plural)


@pytest.mark.parametrize("word", ["glass", "bus", "tennis", "as", "gas", "is", "red"])
def test_words_that_are_no_plurals_stay_alone(word: str) -> None:
    assert singulars(word) == (word,)


def test_classes_that_share_a_name_are_found_together() -> None:
    assert named("a crane", ("crane", "Crane", "heron")) == [{"crane", "Crane"}]


def test_composed_and_decomposed_letters_are_the_same() -> None:
    assert named("une be\u0301casse", ("bécasse",)) == [{"bécasse"}]


@given(ANY_TEXT, st.lists(ANY_TEXT, max_size=5), ANY_TEXT)
def test_a_name_is_found_wherever_its_words_are_set_apart(
    name: str, others: list[str], around: str
) -> None:
    classes = NameFinder([name])
    if [*classes.found(name)]:
        assert {name} in [{*one} for one in classes.found(f"{around} . {name} . {around}")]
    assert {one for found in NameFinder(others).found(around) for one in found} <= {*others}


CASES = {
    "a cat": ("own",),
    "a dog": ("other",),
    "a cat with a dog": ("own", "other"),
    "a bird": (),
}


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("names", ["own", "other", "any"])
def test_option_names_selects_the_forbidden_classes(text: str, names: Any) -> None:
    held_back = reason(LeakageGate, LeakageOptions(names=names), text) is not None
    assert held_back == (names in CASES[text] or (names == "any" and bool(CASES[text])))


def test_the_reason_names_the_class() -> None:
    assert reason(LeakageGate, LeakageOptions(), "a cat") == "it names its own class `cat`"
    assert reason(LeakageGate, LeakageOptions(), "two dogs") == "it names the class `dog`"


def test_a_name_that_several_classes_share_is_the_own_one() -> None:
    about: dict[str, Any] = {"class_names": ("crane", "Crane"), "own": "Crane"}
    assert reason(LeakageGate, LeakageOptions(names="other"), "a crane", **about) is None
    assert reason(LeakageGate, LeakageOptions(names="own"), "a crane", **about) is not None


def test_ignored_classes_may_be_named() -> None:
    options = LeakageOptions(ignore=("cat",))
    assert reason(LeakageGate, options, "a cat") is None
    assert reason(LeakageGate, options, "a cat and a dog") is not None
    about: dict[str, Any] = {"class_names": ("bear", "polar bear")}
    ignoring = LeakageOptions(ignore=("polar bear",))
    assert reason(LeakageGate, ignoring, "a polar bear", **about) is None


def test_unknown_ignored_class_names_the_nearest() -> None:
    with pytest.raises(LatteError, match='Did you mean "dog"'):
        reason(LeakageGate, LeakageOptions(ignore=("dgo",)), "a cat")


@given(ANY_TEXT, st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_ignoring_more_holds_back_no_more(text: str, some: set[str], more: set[str]) -> None:
    few = LeakageOptions(ignore=tuple(some))
    many = LeakageOptions(ignore=tuple(some | more))
    filled = f"{text} polar bear horse {text}"
    about: dict[str, Any] = {"class_names": NAMES}
    if reason(LeakageGate, few, filled, **about) is None:
        assert reason(LeakageGate, many, filled, **about) is None


def test_one_table_serves_many_classes_and_texts() -> None:
    names = tuple(f"thing{i} of{i % 7} kind{i % 11}" for i in range(10_000))
    table = NameFinder(names)
    found = [[*table.found(f"there is a {name}s here")] for name in names[::10]]
    assert found == [[frozenset({name})] for name in names[::10]]
