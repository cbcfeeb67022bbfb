"""Secrets are recognised and redacted, and untrusted text is made printable."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from latte.io.redaction import (
    as_yaml,
    is_secret,
    one_line,
    printable,
    redact,
    without_passwords,
    without_secrets,
)

any_text = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "MY_AUTH", "GPG_KEYS"],
)
def test_variable_names_of_secrets(name: str) -> None:
    assert is_secret(name, "x")


@pytest.mark.parametrize("name", ["PWD", "LATTE_DATA", "TOKENIZERS_PARALLELISM", "AUTHOR", "HOME"])
def test_variable_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name, "/home/me/data")


def test_url_with_password_is_a_secret() -> None:
    assert is_secret("MIRROR", "https://me:hunter2@example.org/x")
    assert without_passwords("at https://me:hunter2@example.org/x, or a@b") == (
        "at https://(hidden)@example.org/x, or a@b"
    )


def test_redact_replaces_secret_values_by_variable_names() -> None:
    environment = {"HF_TOKEN": "hf_0123456789", "PIN_KEY": "1234", "HOME": "/home/me"}
    redacted = redact("in /home/me: 401 for hf_0123456789 (1234)", environment)
    assert redacted == "in /home/me: 401 for ${HF_TOKEN} (1234)"


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
