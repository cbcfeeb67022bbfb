"""Secrets are known by the names of what holds them, and told nowhere."""

from __future__ import annotations

import pytest

from latte.io.redaction import is_secret, redact, without_passwords


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "MY_AUTH", "GPG_KEYS"],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name, "x")


@pytest.mark.parametrize("name", ["PWD", "LATTE_DATA", "TOKENIZERS_PARALLELISM", "AUTHOR", "HOME"])
def test_other_names(name: str) -> None:
    assert not is_secret(name, "/home/me/data")


def test_a_password_in_an_address_is_a_secret_whatever_its_name() -> None:
    assert is_secret("MIRROR", "https://me:hunter2@example.org/x")
    assert without_passwords("at https://me:hunter2@example.org/x, or a@b") == (
        "at https://(hidden)@example.org/x, or a@b"
    )


def test_what_secret_variables_hold_is_replaced_by_their_names() -> None:
    environment = {"HF_TOKEN": "hf_0123456789", "PIN_KEY": "1234", "HOME": "/home/me"}
    told = redact("in /home/me: 401 for hf_0123456789 (1234)", environment)
    assert told == "in /home/me: 401 for ${HF_TOKEN} (1234)"
