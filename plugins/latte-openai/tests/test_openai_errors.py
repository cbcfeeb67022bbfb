"""Failing servers: retries, refusals, and errors that stop the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from latte_openai.errors import RequestError
from openai_double import (
    Behaviour,
    ChatRequest,
    Reply,
    chat_server,
    describer,
    echo,
    failure,
    questions,
    said,
    without_waiting,
    wrong,
)

from latte.api import LatteError, Refusal

pytestmark = pytest.mark.thorough


def first(*troubles: Reply) -> Behaviour:
    """Reply to each question with `troubles` first, then with the answer."""
    return lambda request: troubles[request.time] if request.time < len(troubles) else echo(request)


def recorded_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Skip waits before retries; return the list of their random parts."""
    waits: list[float] = []

    def draw() -> float:
        waits.append(0.0)
        return waits[-1]

    without_waiting(monkeypatch)
    monkeypatch.setattr("openai._base_client.random", draw)
    return waits


@pytest.mark.parametrize(
    "trouble",
    [
        *[wrong(status) for status in (408, 409, 429, 500, 502, 503, 504)],
        Reply(b"", cut=True),
        Reply(b'{"choices": [', cut=True),
    ],
    ids=lambda trouble: f"{trouble.status} {trouble.body}"[:30],
)
def test_transient_failures_are_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Reply
) -> None:
    without_waiting(monkeypatch)
    with chat_server(first(trouble, trouble)) as server, describer(tmp_path, server.url) as lmm:
        assert lmm.describe(questions(tmp_path, "a", "b")) == ["answer to a", "answer to b"]
    assert sorted(server.prompts) == ["a"] * 3 + ["b"] * 3


MODELS = ("llava-hf/llava-v1.6-mistral-7b-hf", "qwen3-vl:8b")
NEAREST = f'Did you mean "{MODELS[0]}"? It serves {", ".join(MODELS)}'


@dataclass(frozen=True)
class Wrong:
    """A reply that is always sent, how often it is asked for, and the error that it becomes."""

    reply: Reply
    words: Sequence[str]
    requests: int = 1
    error: type[Exception] = RequestError


REPLIES = {
    "error that may pass": Wrong(wrong(500, "out of\nmemory"), ["status 500: out of memory"], 3),
    "retry tomorrow": Wrong(
        wrong(429, "tomorrow", {"Retry-After": "86400"}), ["status 429: tomorrow"]
    ),
    "no retry": Wrong(
        wrong(429, "tomorrow", {"X-Should-Retry": "false"}), ["status 429: tomorrow"]
    ),
    **{
        f"status {status}": Wrong(wrong(status, "too large"), [f"status {status}: too large"])
        for status in (400, 413, 422)
    },
    "page": Wrong(
        Reply(b"<html>Welcome to\x1b[31m the router" + b"x" * 500),
        ["<html>Welcome to [31m the router"],
    ),
    "no choices": Wrong(Reply({"choices": []}), ['{"choices": []}']),
    "error with status 200": Wrong(
        Reply({"error": {"message": "upstream", "code": 502}}), ["upstream"]
    ),
    "not gzip": Wrong(Reply(b"no", headers={"Content-Encoding": "gzip"}), []),
    "not brotli": Wrong(Reply(b"no", headers={"Content-Encoding": "br"}), []),
    "no credit": Wrong(
        wrong(402, "add credit"), ["payment first: ", "add credit"], error=LatteError
    ),
    "no quota": Wrong(
        wrong(429, "add credit", code="insufficient_quota"),
        ["payment first: ", "add credit"],
        3,
        error=LatteError,
    ),
    "no such path": Wrong(
        wrong(404), ["does not find the model llava-v1.6", NEAREST], 1, LatteError
    ),
    "no such model": Wrong(
        wrong(400, code="model_not_found"),
        ["does not find the model llava-v1.6", NEAREST],
        error=LatteError,
    ),
}


@pytest.mark.parametrize("row", REPLIES.values(), ids=REPLIES)
def test_each_wrong_reply_has_its_error_and_number_of_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Wrong
) -> None:
    without_waiting(monkeypatch)
    with (
        chat_server(lambda _: row.reply, MODELS) as server,
        describer(tmp_path, server.url, retries=2, model="llava-v1.6-mistral") as lmm,
    ):
        error = failure(lmm, questions(tmp_path, "a"))
    assert isinstance(error, row.error)
    assert all(words in str(error) for words in row.words), error
    assert len(str(error)) < 300
    assert len(server.asked) == row.requests


def test_timeout_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_waiting(monkeypatch)

    def silent_at_first(request: ChatRequest) -> Reply:
        if request.time == 0:
            server.released.wait(20)
        return echo(request)

    with (
        chat_server(silent_at_first) as server,
        describer(tmp_path, server.url, timeout=0.3) as lmm,
    ):
        assert lmm.describe(questions(tmp_path, "a")) == ["answer to a"]
    assert len(server.asked) == 2


def test_retry_after_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_waiting(monkeypatch)
    later = wrong(429, headers={"Retry-After": "0.4"})
    with chat_server(first(later, later)) as server, describer(tmp_path, server.url) as lmm:
        began = time.monotonic()
        lmm.describe(questions(tmp_path, "a"))
    assert time.monotonic() - began > 0.8


@pytest.mark.parametrize(
    "reply",
    [
        wrong(400, "no people", code="content_filter"),
        wrong(403, "no people", code="content_policy_violation"),
        said(None, refusal="no people"),
        Reply({"error": {"code": "content_filter", "message": "no people"}}),
    ],
)
def test_refusals_are_answers(tmp_path: Path, reply: Reply) -> None:
    def behaviour(request: ChatRequest) -> Reply:
        return reply if request.prompt == "b" else echo(request)

    with chat_server(behaviour) as server, describer(tmp_path, server.url) as lmm:
        answers = lmm.describe(questions(tmp_path, "a", "b", "c"))
    assert answers[::2] == ["answer to a", "answer to c"]
    assert isinstance(answers[1], Refusal)
    assert "no people" in answers[1].reason
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_missing_or_rejected_key_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with chat_server(lambda _: wrong(status)) as server:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with describer(tmp_path, server.url) as lmm:
            message = str(failure(lmm, questions(tmp_path, "a")))
        assert "needs a key" in message
        assert "export OPENAI_API_KEY" in message
        monkeypatch.setenv("MY_KEY", "not-the-right-one")
        with describer(tmp_path, server.url, key_env="MY_KEY") as lmm:
            message = str(failure(lmm, questions(tmp_path, "a")))
        assert "rejects the key in MY_KEY" in message
    assert len(server.asked) == 2


@pytest.mark.parametrize("models", [("router/big",), ()])
def test_model_that_the_server_lists_but_does_not_find_may_not_be_loaded(
    tmp_path: Path, models: tuple[str, ...]
) -> None:
    with (
        chat_server(lambda _: wrong(404, "model not found, try pulling it"), models) as server,
        describer(tmp_path, server.url, model="router/big") as lmm,
    ):
        error = failure(lmm, questions(tmp_path, "a"))
    assert isinstance(error, LatteError)
    assert error.where == "describer.model"
    assert "model not found, try pulling it" in error.what
    assert "load the model on the server" in str(error.hint)


def test_wrong_address_is_reported(tmp_path: Path) -> None:
    with chat_server() as server, describer(tmp_path, server.url.removesuffix("/v1")) as lmm:
        message = str(failure(lmm, questions(tmp_path, "a")))
        assert server.asked == []
    assert "not here" in message
    assert "ends in /v1" in message


def test_unreachable_server_stops_the_run_after_two_retries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = recorded_waits(monkeypatch)
    with chat_server() as server:
        gone = server.url
    with (
        describer(tmp_path, gone, retries=9, concurrency=1) as lmm,
        pytest.raises(LatteError, match="no server answers at http://127"),
    ):
        lmm.describe(questions(tmp_path, *"abcdef"))
    assert len(waits) == 2


def test_server_that_stops_later_gets_all_retries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = recorded_waits(monkeypatch)
    with chat_server() as server, describer(tmp_path, server.url, retries=4) as lmm:
        lmm.describe(questions(tmp_path, "a"))
        server.close()
        assert "no server answers" in str(failure(lmm, questions(tmp_path, "b")))
    assert len(waits) == 4


def test_first_fatal_error_cancels_other_requests(tmp_path: Path) -> None:
    barrier = threading.Barrier(2)

    def behaviour(request: ChatRequest) -> Reply:
        barrier.wait(20)
        if request.prompt == "a":
            server.released.wait(20)
        return wrong(401)

    with (
        chat_server(behaviour) as server,
        describer(tmp_path, server.url, concurrency=2) as lmm,
        pytest.raises(LatteError),
    ):
        lmm.describe(questions(tmp_path, *"abcdef"))
    assert sorted(server.prompts) == ["a", "b"]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (("llava", "qwen"), r"serves 2 models: name one(.|\n)*llava, qwen"),
        (None, "not an OpenAI-compatible address"),
    ],
)
def test_model_is_required_unless_the_server_has_one(
    tmp_path: Path, models: tuple[str, ...] | None, message: str
) -> None:
    with (
        chat_server(models=models) as server,
        describer(tmp_path, server.url, model=None) as lmm,
        pytest.raises(LatteError, match=message),
    ):
        _ = lmm.fingerprint
