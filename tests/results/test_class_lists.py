"""Class names that a person changed while answering: answers follow them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from latte.interfaces import LatteError
from latte.results.answers import append_answers, read_answers, read_class_changes
from latte.results.class_lists import ClassChange, ClassChanges, digest_of_classes

FIRST, RENAMED = ("cat", "dog"), ("cat", "hound")
ADDED = ("cat", "hound", "dog")


def changes(*lists: tuple[str, ...]) -> ClassChanges:
    return ClassChanges(tuple(ClassChange(was, names, "") for was, names in pairwise(lists)))


def test_a_list_has_its_changes_and_other_lists_have_none() -> None:
    made = changes(FIRST, RENAMED, ADDED)
    assert made.current(FIRST) == made.current(RENAMED) == made.current(ADDED) == ADDED
    assert made.current(("dog", "cat")) == ("hound", "cat", "dog")
    assert made.current(("dog", "wolf")) == ("dog", "wolf")


def test_a_name_that_was_changed_back_is_the_first_one() -> None:
    made = changes(FIRST, RENAMED, FIRST)
    assert made.current(RENAMED) == made.current(FIRST) == FIRST
    assert made.current_answer("hound", digest_of_classes(RENAMED))[0] == "dog"
    assert changes(FIRST, RENAMED, FIRST, RENAMED).current(FIRST) == RENAMED


@pytest.mark.parametrize(
    ("label", "given_with", "expected"),
    [("dog", FIRST, "hound"), ("dog", ADDED, "dog"), ("cat", FIRST, "cat"), ("owl", FIRST, "owl")],
)
def test_an_answer_names_the_class_of_the_list_that_the_person_saw(
    label: str, given_with: tuple[str, ...], expected: str
) -> None:
    made = changes(FIRST, RENAMED, ADDED)
    answer = made.current_answer(label, digest_of_classes(given_with))
    assert answer == (expected, digest_of_classes(ADDED))


def test_an_answer_without_a_list_follows_the_names_that_it_has() -> None:
    assert changes(FIRST, RENAMED).current_answer("dog", "")[0] == "hound"
    assert changes(FIRST, RENAMED).current_answer("owl", "") == ("owl", "")


def test_none_of_the_classes_holds_for_other_names_and_not_for_another_class() -> None:
    first = digest_of_classes(FIRST)
    assert changes(FIRST, RENAMED).current_answer(None, first) == (None, digest_of_classes(RENAMED))
    assert changes(FIRST, RENAMED, ADDED).current_answer(None, first)[1] != digest_of_classes(ADDED)


def test_changes_are_lines_of_the_file_of_answers(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    made = changes(FIRST, RENAMED, ADDED)
    append_answers(path, made.changes)
    assert read_class_changes([path]) == made
    assert read_answers(path) == []


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "classes", "was": ["a", "b"], "names": ["a"], "time": ""}',
        '{"kind": "classes", "was": ["a", "a"], "names": ["a", "b"], "time": ""}',
        '{"kind": "classes", "was": ["a", "b"], "names": ["a", 3], "time": ""}',
        '{"kind": "classes", "names": ["a", "b"], "time": ""}',
    ],
)
def test_a_damaged_change_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "review.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(LatteError) as raised:
        read_answers(path)
    assert "review.jsonl:2" in str(raised.value)
    assert "\n" not in raised.value.what
