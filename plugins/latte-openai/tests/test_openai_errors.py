"""Failing servers: retries, refusals, and errors that stop the run."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from latte_openai.errors import RequestError
from openai_double import (
    Asked,
    Behaviour,
    Reply,
    chat_server,
    describer,
    echo,
    questions,
    said,
    without_sleeping,
    wrong,
)

from latte.api import LatteError, Refusal

pytestmark = pytest.mark.thorough


def first(*troubles: Reply) -> Behaviour:
    """Reply to each question with `troubles` first, then with the answer."""
    return lambda asked: troubles[asked.time] if asked.time < len(troubles) else echo(asked)


@pytest.mark.parametrize(
    "trouble",
    [
        *[wrong(status) for status in (408, 409, 429, 500, 502, 503, 504)],
        Reply(b"", cut=True),
        Reply(b'{"choices": [', cut=True),
        Reply(b"<html>busy</html>"),
        Reply({"choices": []}),
        Reply({"error": {"message": "upstream", "code": 502}}),
        Reply(b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=lambda trouble: f"{trouble.status} {trouble.body}"[:30],
)
def test_transient_failures_are_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Reply
) -> None:
    waits = without_sleeping(monkeypatch)
    with chat_server(first(trouble, trouble)) as server, describer(tmp_path, server.url) as one:
        assert one.describe(questions(tmp_path, "a", "b")) == ["answer to a", "answer to b"]
    assert sorted(server.prompts) == ["a"] * 3 + ["b"] * 3
    assert sorted(waits) == [0.5, 0.5, 1, 1]


def test_timeout_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_sleeping(monkeypatch)

    def silent_at_first(asked: Asked) -> Reply:
        if asked.time == 0:
            server.released.wait(20)
        return echo(asked)

    with (
        chat_server(silent_at_first) as server,
        describer(tmp_path, server.url, timeout=0.3) as one,
    ):
        assert one.describe(questions(tmp_path, "a")) == ["answer to a"]
    assert len(server.asked) == 2


def test_timeout_is_reported(tmp_path: Path) -> None:
    def silent(asked: Asked) -> Reply:
        server.released.wait(20)
        return echo(asked)

    with (
        chat_server(silent) as server,
        describer(tmp_path, server.url, timeout=0.2, retries=0) as one,
        pytest.raises(RequestError, match=r"no complete reply within 0.2 s \(asked once\)"),
    ):
        one.describe(questions(tmp_path, "a"))


def test_retry_after_is_obeyed_up_to_max_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = without_sleeping(monkeypatch, draw=0.0)
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    troubles = [
        wrong(429, headers={"Retry-After": "7"}),
        wrong(503, headers={"Retry-After": later}),
        wrong(429, headers={"Retry-After": "86400"}),
        wrong(429, headers={"Retry-After": "whenever"}),
    ]
    with (
        chat_server(first(*troubles)) as server,
        describer(tmp_path, server.url, max_wait=45) as one,
    ):
        one.describe(questions(tmp_path, "a"))
    assert waits[0] == 7
    assert 20 < waits[1] <= 30
    assert waits[2:] == [45, 0]


def test_retries_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = without_sleeping(monkeypatch)
    with (
        chat_server(lambda _: wrong(500, "out of\nmemory")) as server,
        describer(tmp_path, server.url, retries=2) as one,
        pytest.raises(RequestError, match=r"500 .*: out of memory \(asked 3 times\)"),
    ):
        one.describe(questions(tmp_path, "a"))
    assert len(server.asked) == 3
    assert len(waits) == 2


def test_reply_that_is_not_json_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_sleeping(monkeypatch)
    page = "<html>Welcome to\x1b[31m the router" + "x" * 500
    with (
        chat_server(lambda _: Reply(page.encode())) as server,
        describer(tmp_path, server.url, retries=1) as one,
        pytest.raises(RequestError) as error,
    ):
        one.describe(questions(tmp_path, "a"))
    assert "<html>Welcome to [31m the router" in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("status", [400, 413, 422, 501])
def test_client_errors_are_not_retried(tmp_path: Path, status: int) -> None:
    with (
        chat_server(lambda _: wrong(status, "the image is too large")) as server,
        describer(tmp_path, server.url) as one,
        pytest.raises(RequestError, match=f"{status} .*: the image is too large"),
    ):
        one.describe(questions(tmp_path, "a"))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "reply",
    [
        wrong(400, "no people", code="content_filter"),
        wrong(403, "no people", code="content_policy_violation"),
        said(None, refusal="no people"),
    ],
)
def test_refusals_are_answers(tmp_path: Path, reply: Reply) -> None:
    def behaviour(asked: Asked) -> Reply:
        return reply if asked.prompt == "b" else echo(asked)

    with chat_server(behaviour) as server, describer(tmp_path, server.url) as one:
        found = one.describe(questions(tmp_path, "a", "b", "c"))
    assert found[::2] == ["answer to a", "answer to c"]
    assert isinstance(found[1], Refusal)
    assert "no people" in found[1].reason
    assert len(server.asked) == 3


def test_empty_text_is_returned(tmp_path: Path) -> None:
    with chat_server(lambda _: said("")) as server, describer(tmp_path, server.url) as one:
        assert one.describe(questions(tmp_path, "a")) == [""]


@pytest.mark.parametrize("status", [401, 403])
def test_missing_or_rejected_key_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with chat_server(lambda _: wrong(status)) as server:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with (
            describer(tmp_path, server.url) as one,
            pytest.raises(LatteError, match=r"needs a key(.|\n)*export OPENAI_API_KEY"),
        ):
            one.describe(questions(tmp_path, "a"))
        monkeypatch.setenv("MY_KEY", "not-the-right-one")
        with (
            describer(tmp_path, server.url, key_env="MY_KEY") as one,
            pytest.raises(LatteError, match="rejects the key in MY_KEY"),
        ):
            one.describe(questions(tmp_path, "a"))
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "reply", [wrong(402, "add credit"), wrong(429, "add credit", code="insufficient_quota")]
)
def test_missing_credit_stops_the_run(tmp_path: Path, reply: Reply) -> None:
    with (
        chat_server(lambda _: reply) as server,
        describer(tmp_path, server.url) as one,
        pytest.raises(LatteError, match=r"payment first: .*add credit"),
    ):
        one.describe(questions(tmp_path, "a"))


def test_model_without_images_stops_the_run(tmp_path: Path) -> None:
    with (
        chat_server(lambda _: wrong(500, "image input is not supported - hint: mmproj")) as server,
        describer(tmp_path, server.url) as one,
        pytest.raises(LatteError, match=r"reads no images: 500 .*(.|\n)*--mmproj"),
    ):
        one.describe(questions(tmp_path, "a"))
    assert len(server.asked) == 1


@pytest.mark.parametrize("reply", [wrong(404), wrong(400, code="model_not_found")])
def test_unknown_model_gets_suggestion_and_list_of_models(tmp_path: Path, reply: Reply) -> None:
    models = ("llava-hf/llava-v1.6-mistral-7b-hf", "qwen3-vl:8b")
    with (
        chat_server(lambda _: reply, models) as server,
        describer(tmp_path, server.url, model="llava-v1.6-mistral") as one,
        pytest.raises(LatteError) as error,
    ):
        one.describe(questions(tmp_path, "a"))
    assert "has no model llava-v1.6-mistral" in str(error.value)
    assert f'did you mean "{models[0]}"?' in str(error.value)
    assert "qwen3-vl:8b" in str(error.value)


@pytest.mark.parametrize("models", [("router/big",), ()])
@pytest.mark.parametrize(
    "reply",
    [
        wrong(404, code="model_not_found"),
        wrong(404, 'model "router/big" not found, try pulling it first'),
        wrong(404, "The model `router/big` does not exist"),
    ],
)
def test_model_that_the_server_lists_but_does_not_find_is_blamed_on_the_model(
    tmp_path: Path, reply: Reply, models: tuple[str, ...]
) -> None:
    with (
        chat_server(lambda _: reply, models) as server,
        describer(tmp_path, server.url, model="router/big") as one,
        pytest.raises(LatteError) as error,
    ):
        one.describe(questions(tmp_path, "a"))
    assert error.value.where == "describer.model"
    assert "not an OpenAI-compatible address" not in str(error.value)
    assert "load the model" in str(error.value)


def test_path_that_the_server_does_not_find_is_blamed_on_the_address(tmp_path: Path) -> None:
    with (
        chat_server(lambda _: wrong(404, "Not Found"), ("m",)) as server,
        describer(tmp_path, server.url, model="m") as one,
        pytest.raises(LatteError, match=r"lists m, but does not answer questions") as error,
    ):
        one.describe(questions(tmp_path, "a"))
    assert error.value.where == "describer.base_url"


def test_wrong_address_is_reported(tmp_path: Path) -> None:
    with chat_server() as server, describer(tmp_path, server.url.removesuffix("/v1")) as one:
        with pytest.raises(LatteError, match=r"not an OpenAI-compatible address(.|\n)*ends in /v1"):
            one.describe(questions(tmp_path, "a"))
        assert server.asked == []


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    moved = Reply(status=307, headers={"Location": "http://127.0.0.1:9/v1/chat/completions"})
    with (
        chat_server(lambda _: moved) as server,
        describer(tmp_path, server.url) as one,
        pytest.raises(LatteError, match="307"),
    ):
        one.describe(questions(tmp_path, "a"))


def test_unreachable_server_stops_the_run_after_two_retries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = without_sleeping(monkeypatch)
    with chat_server() as server:
        gone = server.url
    with (
        describer(tmp_path, gone, retries=9, concurrency=1) as one,
        pytest.raises(LatteError, match="no server answers at http://127"),
    ):
        one.describe(questions(tmp_path, *"abcdef"))
    assert waits == [0.5, 1]


def test_server_that_stops_later_gets_all_retries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = without_sleeping(monkeypatch)
    with chat_server() as server, describer(tmp_path, server.url, retries=4) as one:
        one.describe(questions(tmp_path, "a"))
        server.close()
        with pytest.raises(LatteError, match="no server answers"):
            one.describe(questions(tmp_path, "b"))
    assert len(waits) == 4


def test_first_fatal_error_cancels_other_requests(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def behaviour(asked: Asked) -> Reply:
        both.wait(20)
        if asked.prompt == "a":
            server.released.wait(20)
        return wrong(401)

    with (
        chat_server(behaviour) as server,
        describer(tmp_path, server.url, concurrency=2) as one,
        pytest.raises(LatteError),
    ):
        one.describe(questions(tmp_path, *"abcdef"))
    assert sorted(server.prompts) == ["a", "b"]


def test_model_is_required_if_the_server_has_several(tmp_path: Path) -> None:
    with (
        chat_server(models=("llava", "qwen")) as server,
        describer(tmp_path, server.url, model=None) as one,
        pytest.raises(LatteError, match=r"serves 2 models: name one(.|\n)*llava, qwen"),
    ):
        _ = one.fingerprint


def test_model_is_required_if_the_server_lists_none(tmp_path: Path) -> None:
    with (
        chat_server(models=None) as server,
        describer(tmp_path, server.url, model=None) as one,
        pytest.raises(LatteError, match="not an OpenAI-compatible address"),
    ):
        _ = one.fingerprint
