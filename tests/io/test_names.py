"""Names of folders and files that every file system accepts."""

from __future__ import annotations

import pytest

from latte.io.paths import LONGEST_NAME, ascii_name, distinct_names, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tabby cat", "tabby cat"),
        ("Übel", "Übel"),
        ("U\u0308bel", "Übel"),
        ("a/b\\c", "a_b_c"),
        ("../../etc", "_.._.._etc"),
        ("..", "_"),
        (".git", "_.git"),
        ("", "_"),
        ("   ", "_"),
        ("ends with a dot. ", "ends with a dot"),
        ('<q>:"|?*', "_q______"),
        ("CON", "_CON"),
        ("lpt1.txt", "_lpt1.txt"),
        ("contact", "contact"),
        ("a\x00b\nc\u202ed\ud800", "a_b_c_d_"),
    ],
)
def test_safe_name(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_long_names_are_cut_at_whole_characters() -> None:
    assert safe_name("W" * 3000) == "W" * LONGEST_NAME
    assert safe_name("ü" * 3000) == "ü" * (LONGEST_NAME // 2)


def test_names_that_differ_only_in_case_or_forbidden_characters_stay_apart() -> None:
    texts = ["a/b", "a_b", "A:B", "unknown", "U\u0308", "ü", "a_b-2"]
    names = distinct_names(texts, reserved=["unknown"])
    assert names == ["a_b", "a_b-2", "A_B-3", "unknown-2", "Ü", "ü-2", "a_b-2-2"]
    assert distinct_names(texts, reserved=["unknown"]) == names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Größe", "Groesse"),
        ("Gro\u0308\u00dfe", "Groesse"),
        ("Ærøskøbing", "Aeroeskoebing"),
        ("café à Łódź", "cafe-a-odz"),
        ("my run", "my-run"),
        ("a.b_c-d", "a.b_c-d"),
        ("../x", "x"),
        ("石", ""),
        ("a\ud800b", "a-b"),
    ],
)
def test_ascii_names_keep_the_word_readable(text: str, name: str) -> None:
    assert ascii_name(text) == name
