"""Choices from a server of this package that replies in the documented formats of other servers.

vLLM, SGLang, Ollama and llama.cpp are not started: only their formats are tested here. The
rejections of log probabilities by SGLang and llama.cpp are not documented: their texts are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from latte_openai.errors import RequestError
from openai_double import (
    Behaviour,
    ChatRequest,
    Reply,
    chat_server,
    choice_requests,
    describer,
    said,
    with_logprobs,
    wrong,
)

from latte.api import Choice, ChoiceRequest, Refusal

SHARES = {"B": 0.6, " B": 0.1, "A": 0.2, "The": 0.1}
PROBABLE = pytest.approx([0.2 / 0.9, 0.7 / 0.9])
DOG = Choice((0.0, 1.0))
JSON = '{"letter": "B"}'

pytestmark = pytest.mark.thorough


@dataclass(frozen=True)
class ServerFormat:
    """Documented format of a server: its tokens, its errors and two of its messages."""

    name: str
    error: Callable[[str], dict[str, Any]]
    no_logprobs: str
    too_long: str
    too_long_fields: Mapping[str, Any] = field(default_factory=dict)
    token_fields: Mapping[str, Any] = field(default_factory=dict)

    def with_logprobs(self, text: str, shares: Mapping[str, float]) -> Reply:
        alternatives: list[dict[str, Any]] = [
            {
                "token": name,
                "logprob": math.log(share),
                "bytes": [*name.encode()],
                **self.token_fields,
            }
            for name, share in shares.items()
        ]
        return with_logprobs(text, [{**alternatives[0], "top_logprobs": alternatives}])

    def rejection(self, message: str) -> Reply:
        return Reply(self.error(message), 400)

    def overflow(self) -> Reply:
        body = self.error(self.too_long)
        body.get("error", body).update(self.too_long_fields)
        return Reply(body, 400)


def _bad_request(message: str) -> dict[str, Any]:
    return {"message": message, "type": "BadRequestError", "param": None, "code": 400}


VLLM = ServerFormat(
    "vLLM",
    lambda message: {"error": _bad_request(message)},
    "Requested sample logprobs of 20, which is greater than max allowed: 5",
    "This model's maximum context length is 2048 tokens. However, your request has 8192 input "
    "tokens. Please reduce the length of the input messages.",
)
SGLANG = ServerFormat(
    "SGLang",
    lambda message: {"object": "error", **_bad_request(message)},
    "logprobs are not supported",
    "The input (8192 tokens) is longer than the model's context length (2048 tokens).",
)
OLLAMA = ServerFormat(
    "Ollama",
    lambda message: {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    },
    "top_logprobs must be between 0 and 20",
    "prompt too long; exceeded max context length by 6144 tokens",
)
LLAMA_CPP = ServerFormat(
    "llama.cpp",
    lambda message: {"error": {"code": 400, "message": message, "type": "invalid_request_error"}},
    "logprobs is not supported",
    "request (8192 tokens) exceeds the available context size (2048 tokens), try increasing it",
    {"type": "exceed_context_size_error", "n_prompt_tokens": 8192, "n_ctx": 2048},
    {"id": 33},
)


@pytest.fixture(params=[VLLM, SGLANG, OLLAMA, LLAMA_CPP], ids=lambda form: form.name)
def server_format(request: pytest.FixtureRequest) -> ServerFormat:
    form = request.param
    assert isinstance(form, ServerFormat)
    return form


def server(form: ServerFormat, logprobs: str, structure: str, text: str) -> Behaviour:
    """Reply with `text`; a field is `sent`, `rejected` or `missing` (ignored)."""

    def reply(request: ChatRequest) -> Reply:
        if "logprobs" in request.body and logprobs != "missing":
            is_sent = logprobs == "sent"
            return form.with_logprobs(text, SHARES) if is_sent else form.rejection(form.no_logprobs)
        if "response_format" in request.body and structure != "missing":
            return said(JSON) if structure == "sent" else form.rejection("no response_format")
        return said(text)

    return reply


def fields(requests: Sequence[ChatRequest]) -> list[str]:
    """Return `logprobs`, `json` or `letter` for each request."""
    names = {"logprobs": "logprobs", "response_format": "json"}
    return [
        next((short for name, short in names.items() if name in request.body), "letter")
        for request in requests
    ]


def test_probabilities_are_read_in_each_format(tmp_path: Path, server_format: ServerFormat) -> None:
    with (
        chat_server(server(server_format, "sent", "sent", "B")) as served,
        describer(tmp_path, served.url) as lmm,
    ):
        choices = lmm.choose(choice_requests(tmp_path))
        assert lmm.counters == {"tokens": 14, "prompt tokens": 200}
    for choice in choices:
        assert isinstance(choice, Choice)
        assert choice.probabilities == PROBABLE
    assert [
        (request.body["logprobs"], request.body["top_logprobs"]) for request in served.asked
    ] == [(True, 20)] * 2
    assert "A. cat\nB. dog" in served.prompts[0]


@pytest.mark.parametrize(
    ("logprobs", "structure", "text", "first_fields", "second_fields", "expected_choice"),
    [
        ("rejected", "sent", "The dog", ["logprobs", "json"], ["json"], DOG),
        ("rejected", "rejected", "B", ["logprobs", "json", "letter"], ["letter"], DOG),
        ("rejected", "rejected", "The dog", ["logprobs", "json", "letter"], ["letter"], None),
        ("rejected", "missing", "B. dog", ["logprobs", "json"], ["json"], DOG),
        ("missing", "sent", "B", ["logprobs"], ["logprobs"], DOG),
        ("missing", "sent", "The dog", ["logprobs", "json"], ["logprobs", "json"], DOG),
        ("missing", "rejected", "The dog", ["logprobs", "json"], ["logprobs"], None),
        ("missing", "missing", "The dog", ["logprobs", "json"], ["logprobs"], None),
        ("sent", "sent", "The dog", ["logprobs"], ["logprobs"], None),
    ],
)
def test_json_replaces_log_probabilities_and_letters_replace_json(
    tmp_path: Path,
    logprobs: str,
    structure: str,
    text: str,
    first_fields: list[str],
    second_fields: list[str],
    expected_choice: Choice | None,
) -> None:
    with (
        chat_server(server(VLLM, logprobs, structure, text)) as served,
        describer(tmp_path, served.url, concurrency=1) as lmm,
    ):
        choices = lmm.choose(choice_requests(tmp_path))
        paid = lmm.counters["tokens"]
    assert fields(served.asked) == first_fields + second_fields
    assert (
        choices == [expected_choice] * 2
        if expected_choice
        else all(isinstance(choice, Refusal) for choice in choices)
    )
    replies = {"logprobs": logprobs, "json": structure}
    answered = [name for name in first_fields + second_fields if replies.get(name) != "rejected"]
    assert paid == 7 * len(answered)


def test_the_schema_names_the_letters(tmp_path: Path) -> None:
    with (
        chat_server(server(VLLM, "rejected", "sent", "B")) as served,
        describer(tmp_path, served.url) as lmm,
    ):
        lmm.choose([ChoiceRequest(choice_requests(tmp_path)[0].images, "?", ("cat", "dog"), True)])
    response_format = served.asked[-1].body["response_format"]
    assert response_format["type"] == "json_schema"
    assert response_format["json_schema"]["strict"]
    assert response_format["json_schema"]["schema"]["properties"] == {
        "letter": {"type": "string", "enum": ["A", "B", "C"]}
    }


@pytest.mark.parametrize("later", ["rejected", "missing"])
def test_log_probabilities_that_end_half_way_lose_no_answer(
    tmp_path: Path, server_format: ServerFormat, later: str
) -> None:
    def behaviour(request: ChatRequest) -> Reply:
        support = "sent" if request.prompt[:10] < "Which in 2" else later
        return server(server_format, support, "sent", "B")(request)

    with (
        chat_server(behaviour) as served,
        describer(tmp_path, served.url, concurrency=1) as lmm,
    ):
        choices = lmm.choose(choice_requests(tmp_path, 4))
        assert lmm.counters["tokens"] == 4 * 7, "nothing is paid twice"
    assert all(isinstance(choice, Choice) for choice in choices)
    assert [choice == DOG for choice in choices] == [False, False, True, True]
    assert len(served.asked) == 4 + (later == "rejected")


def test_a_question_longer_than_the_context_fails_alone_with_the_reason(
    tmp_path: Path, server_format: ServerFormat
) -> None:
    def behaviour(request: ChatRequest) -> Reply:
        too_long = request.prompt.startswith("Which in 1")
        return server_format.overflow() if too_long else server(VLLM, "sent", "sent", "B")(request)

    requests = choice_requests(tmp_path, 3)
    with chat_server(behaviour) as served, describer(tmp_path, served.url) as lmm:
        first_choice, error, last_choice = lmm.choose(requests)
    assert isinstance(error, RequestError)
    assert server_format.too_long in str(error)
    assert "start the server with a longer context" in str(error)
    assert isinstance(first_choice, Choice)
    assert isinstance(last_choice, Choice)
    assert fields(served.asked) == ["logprobs"] * 3, "each question is sent once"


@pytest.mark.parametrize(
    "refusal",
    [
        *(said(None, refusal="no"), said("", "content_filter"), said("<think>A or B", "length")),
        wrong(400, "violence", code="content_filter"),
    ],
)
def test_a_refusal_is_never_turned_into_a_letter(tmp_path: Path, refusal: Reply) -> None:
    with chat_server(lambda _: refusal) as served, describer(tmp_path, served.url) as lmm:
        choices = lmm.choose(choice_requests(tmp_path))
    assert all(isinstance(choice, Refusal) for choice in choices)
    assert fields(served.asked) == ["logprobs"] * 2


@pytest.mark.parametrize("text", ['{"letter": "D"}', '{"letter": 1}', '{"letter"', '["B"]', '"B"'])
def test_json_without_a_letter_of_the_options_is_a_refusal(tmp_path: Path, text: str) -> None:
    with chat_server(lambda _: said(text)) as served, describer(tmp_path, served.url) as lmm:
        (refusal,) = lmm.choose(choice_requests(tmp_path, 1))
    assert isinstance(refusal, Refusal)
    assert "no letter from A to B" in refusal.reason
