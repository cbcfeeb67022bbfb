"""JSON of users is refused where its meaning depends on the reader."""

from __future__ import annotations

import pytest

from latte.io.json_text import parse_json


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' occurs twice"),
        ("[" * 100_000, "nested too deeply"),
        ("[1", "delimiter"),
    ],
)
def test_unclear_json_is_refused(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_json(text)


def test_equal_keys_of_different_objects_are_no_repetition() -> None:
    assert parse_json('[{"a": 1}, {"a": {"a": 2}}]') == [{"a": 1}, {"a": {"a": 2}}]
