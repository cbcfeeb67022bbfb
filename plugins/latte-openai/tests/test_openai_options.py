"""Options: addresses and names of variables are checked, and no option accepts a key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from latte_openai.options import OpenAIOptions
from pydantic import ValidationError

KEY = "sk-proj-Abc123456789xyz"


def mistake(**options: Any) -> str:
    """Return the messages of the checks."""
    with pytest.raises(ValidationError) as error:
        OpenAIOptions(**options)
    return " ".join(detail["msg"] for detail in error.value.errors())


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        (" https://example.org/api/v1 ", "https://example.org/api/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("HTTP://gpu:8000", "http://gpu:8000"),
    ],
)
def test_address_is_normalised(written: str, url: str) -> None:
    assert OpenAIOptions(base_url=written).base_url == url


@pytest.mark.parametrize(
    "written", ["localhost:80", "ftp://a/v1", "", "http://", "http://a:b", "http://["]
)
def test_invalid_address_is_an_error(written: str) -> None:
    assert "must be an address" in mistake(base_url=written)


@pytest.mark.parametrize(
    "written",
    [
        f"https://user:{KEY}@example.org/v1",
        f"https://{KEY}@example.org/v1",
        f"https://example.org/v1?api_key={KEY}",
        f"https://example.org/v1#{KEY}",
        f"{KEY}@example.org",
        f"https://example.org/{KEY}/chat/completions",
    ],
)
def test_address_with_a_secret_is_an_error_that_does_not_show_it(written: str) -> None:
    assert KEY not in mistake(base_url=written)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "VLLM_KEY", "_K2", "KEY_OF_SERVER_10"])
def test_key_env_accepts_variable_names(name: str) -> None:
    assert OpenAIOptions(key_env=name).key_env == name


@pytest.mark.parametrize(
    "key",
    [KEY, "hf_AbCdEfGhIjKlMnOp", "gsk_1234567890", "A1B2C3D4E5F6A7B8C9D0", "A" * 80, "", "$KEY"],
)
def test_key_instead_of_its_variable_is_an_error_that_does_not_show_it(key: str) -> None:
    message = mistake(key_env=key)
    assert "name of an environment variable" in message
    assert not key or key not in message


@pytest.mark.parametrize(
    "extra",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"api_key": "x"},
        {"options": {"api-key": "x"}},
        {"extra_headers": {"X-Auth": "x"}},
        {"headers": {}},
        {"list": [{"password": "x"}]},
        {"metadata": f"Bearer {KEY}"},
        {"metadata": [KEY]},
    ],
)
def test_extra_body_with_a_secret_is_an_error(extra: dict[str, Any]) -> None:
    message = mistake(extra_body=extra)
    assert "must not hold keys or headers" in message
    assert KEY not in message


@pytest.mark.parametrize("name", ["model", "messages", "max_tokens", "temperature", "seed", "n"])
def test_extra_body_with_an_option_is_an_error(name: str) -> None:
    assert f"`{name}`" in mistake(extra_body={name: 1})


def test_extra_body_must_be_plain_data() -> None:
    assert "plain data" in mistake(extra_body={"top_k": float("nan")})
    extra = {"top_k": 1, "chat_template_kwargs": {"enable_thinking": False}, "stop_token_ids": [2]}
    assert OpenAIOptions(extra_body=extra).extra_body == extra


def test_there_is_no_option_for_the_key_itself() -> None:
    assert "not permitted" in mistake(api_key=KEY)


def test_the_readme_explains_every_option_with_its_default() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Options")[2].partition("##")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, flags=re.MULTILINE))
    assert rows.keys() == OpenAIOptions.model_fields.keys()
    for name, value in OpenAIOptions().model_dump().items():
        shown = rows[name].strip("`")
        expected = {None: "none", "": "empty"}.get(value) if value in (None, "") else f"{value}"
        assert shown == expected or float(shown) == value
