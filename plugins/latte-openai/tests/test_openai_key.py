"""API key: sent in one header and found nowhere else."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest
from latte_openai.options import is_loopback
from openai_double import (
    ChatRequest,
    Reply,
    chat_server,
    describer,
    failure,
    questions,
    said,
    without_waiting,
)

from latte.api import LatteError

KEY = "sk-proj-Zz0123456789_secret"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_key_env_names_the_variable_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "  another-key \n")
    with chat_server() as server, describer(tmp_path, server.url, key_env="MY_KEY") as lmm:
        lmm.describe(questions(tmp_path, "a"))
    assert server.asked[0].headers["Authorization"] == "Bearer another-key"


def test_local_servers_need_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with chat_server() as server, describer(tmp_path, server.url) as lmm:
        lmm.describe(questions(tmp_path, "a"))
    assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("url", "stays"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.2:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://0.0.0.0:8000/v1", True),
        ("http://10.0.0.1:8000/v1", False),
        ("http://localhost.example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
    ],
)
def test_loopback_addresses(url: str, stays: bool) -> None:
    assert is_loopback(url) == stays


def test_proxy_is_not_used_for_a_local_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with chat_server() as server, describer(tmp_path, server.url) as lmm:
        assert lmm.describe(questions(tmp_path, "a")) == ["answer to a"]


@pytest.mark.parametrize(
    ("url", "options", "value", "message"),
    [
        ("http://localhost:1/v1", {}, "two words", "cannot be a key"),
        ("http://localhost:1/v1", {}, "clé-0123456789", "cannot be a key"),
        ("http://localhost:1/v1", {}, "a\nb", "cannot be a key"),
        ("http://localhost:1/v1", {"key_env": "NO_SUCH_KEY"}, KEY, "NO_SUCH_KEY is not set"),
        ("http://gpu.example:8000/v1", {}, KEY, "without encryption"),
    ],
)
def test_key_that_cannot_be_sent_is_an_error_that_does_not_show_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    options: dict[str, str],
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with (
        describer(tmp_path, url, **options) as lmm,
        pytest.raises(LatteError, match=message) as error,
    ):
        lmm.describe(questions(tmp_path, "a"))
    assert value not in str(error.value)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 402, 404, 429, 500])
def test_key_repeated_by_the_server_is_not_shown_or_logged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    without_waiting(monkeypatch)
    caplog.set_level(logging.DEBUG)
    said_by_server = f"Incorrect API key provided: {KEY}"

    def behaviour(_: ChatRequest) -> Reply:
        return Reply({"error": {"message": said_by_server, "code": said_by_server}}, status)

    with chat_server(behaviour) as server, describer(tmp_path, server.url, retries=1) as lmm:
        error = failure(lmm, questions(tmp_path, "a"))
        shown_error = "".join(traceback.format_exception(error))
        shown = repr([lmm, vars(lmm), vars(lmm.__dict__["_client"]), lmm.fingerprint])
    assert KEY not in shown_error
    assert KEY not in shown
    assert KEY not in caplog.text
    assert "POST" in caplog.text


@pytest.mark.parametrize("pieces", [[f"a note: {KEY}!"], [f"a note: {KEY[:9]}", f"{KEY[9:]}!"]])
def test_key_in_a_text_is_masked(tmp_path: Path, pieces: list[str]) -> None:
    content = [{"type": "text", "text": part} for part in pieces]
    with chat_server(lambda _: said(content)) as server, describer(tmp_path, server.url) as lmm:
        assert lmm.describe(questions(tmp_path, "a")) == ["a note: ***!"]


def test_short_placeholder_key_is_not_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "ollama")
    with chat_server(lambda _: said("an ollama")) as server, describer(tmp_path, server.url) as lmm:
        assert lmm.describe(questions(tmp_path, "a")) == ["an ollama"]


ESCAPED = "".join(f"\\u{ord(character):04x}" for character in KEY)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_key_that_a_server_escapes_is_masked(tmp_path: Path, status: int) -> None:
    body = f'{{"error": {{"message": "bad key {ESCAPED}", "{ESCAPED}": 1}}}}'.encode()
    with (
        chat_server(lambda _: Reply(body, status)) as server,
        describer(tmp_path, server.url, retries=0) as lmm,
    ):
        error = str(failure(lmm, questions(tmp_path, "a")))
    assert "***" in error
    assert KEY not in error
    assert ESCAPED not in error
