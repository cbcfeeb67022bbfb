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
    [
        *("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "MY_AUTH"),
        *("GPG_KEYS", "GITHUB_PAT", "DB_PASS", "PASS_FILE", "SLACK_WEBHOOK", "WEBHOOK_URL"),
        *("SENTRY_DSN", "SERVICE_JWT", "KEY2", "AZURE_CONNECTION_STRING", "MYSQL_PWD"),
    ],
)
def test_variable_names_of_secrets(name: str) -> None:
    assert is_secret(name, "x")


@pytest.mark.parametrize(
    "name",
    [
        *("PWD", "OLDPWD", "LATTE_DATA", "TOKENIZERS_PARALLELISM", "AUTHOR", "HOME", "PATH"),
        *("PATTERN", "COMPASS", "KEYBOARD", "MONKEY_PATCHED"),
    ],
)
def test_variable_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name, "/home/me/data")


@pytest.mark.parametrize(
    "value",
    [
        "a8Fk2LqP0zXw7Rt5YbNc",
        "9f86d081884c7d659a2feaa0c55ad015",
        "hf_0123456789",
        "sk-proj-12345678",
        "https://hooks.example/services/T0/B0/a8Fk2LqP0zXw7Rt5YbNc",
    ],
)
def test_value_like_a_random_key_is_a_secret(value: str) -> None:
    assert is_secret("NOTIFY", value)


@pytest.mark.parametrize(
    "value",
    [
        "laion2b_s34b_b79k_augreg_ft_soup",
        "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "/data/9f86d081884c7d659a2feaa0c55ad015/images",
        "Describe the object in the photo concisely, less than 20 words.",
        "https://huggingface.co/llava-hf/llava-1.5-7b-hf",
        "00000000000000000000000a",
    ],
)
def test_names_paths_and_texts_are_no_secrets(value: str) -> None:
    assert not is_secret("NOTIFY", value)


def test_url_with_password_is_a_secret() -> None:
    assert is_secret("MIRROR", "https://me:hunter2@example.org/x")
    assert without_passwords("at https://me:hunter2@example.org/x, or a@b") == (
        "at https://(hidden)@example.org/x, or a@b"
    )


def test_redact_replaces_secret_values_by_variable_names() -> None:
    environment = {"HF_TOKEN": "hf_0123456789", "PIN_KEY": "1234", "HOME": "/home/me"}
    redacted = redact("in /home/me: 401 for hf_0123456789 (1234)", environment)
    assert redacted == "in /home/me: 401 for ${HF_TOKEN} (1234)"


@pytest.mark.parametrize("spelled", [r"a\/b\"cdefgh", r"a/b\"cdefgh", "a%2Fb%22cdefgh"])
def test_redact_finds_values_that_json_and_urls_escape(spelled: str) -> None:
    assert redact(f"401 ({spelled})", {"MY_TOKEN": 'a/b"cdefgh'}) == "401 (${MY_TOKEN})"


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
