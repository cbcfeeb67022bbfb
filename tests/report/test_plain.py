"""Untrusted text is made printable, and secrets are hidden."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from latte.io.redaction import as_yaml, one_line, printable, without_secrets

any_text = st.text(st.characters(codec=None))


@given(any_text)
def test_printable_text_can_be_encoded_and_keeps_its_length(text: str) -> None:
    safe = printable(text)
    assert safe.encode("utf-8")[:0] == b""
    assert len(safe) == len(text)
    assert "\x1b" not in safe


@given(any_text)
def test_one_line_is_one_line_and_never_empty(text: str) -> None:
    assert len(one_line(text).splitlines()) == 1


def test_secrets_are_hidden_at_any_depth() -> None:
    recipe = {
        "describer": {"api_key": "sk-1", "max_tokens": 77, "headers": [{"Authorization": "x"}]},
        "password": "hunter2",
    }
    assert without_secrets(recipe) == {
        "describer": {
            "api_key": "(hidden)",
            "max_tokens": 77,
            "headers": [{"Authorization": "(hidden)"}],
        },
        "password": "(hidden)",
    }


def test_yaml_shows_what_plain_data_cannot_hold_as_text() -> None:
    text = as_yaml({"root": Path("photos"), "scale": (0.9, 1.0), "name": "café"})
    assert yaml.safe_load(text) == {"root": "photos", "scale": [0.9, 1.0], "name": "café"}
    assert "café" in text
