"""Secrets are recognised by the names of variables, and redacted."""

from __future__ import annotations

import pytest

from latte.io.redaction import is_secret, redact, without_passwords


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
