"""Choices: log probabilities where the server sends them, else the letter that it wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latte_openai.answer import read_answer
from latte_openai.choice import read_choice
from latte_openai.errors import RequestError
from openai_double import (
    ChatRequest,
    Reply,
    chat_server,
    choice_requests,
    describer,
    said,
    with_logprobs,
    wrong,
)

from latte.api import Choice, ChoiceRequest, LatteError, Refusal

PETS = ChoiceRequest((), "Which?", ("cat", "dog"), none_allowed=True)
SURE = {"B": 0.6, " B": 0.1, "A": 0.2, "C": 0.05, "The": 0.05}


def token(text: str, shares: Mapping[str, float]) -> dict[str, Any]:
    """Return a token in the format of OpenAI, vLLM, SGLang and llama.cpp."""
    alternatives = [{"token": name, "logprob": math.log(share)} for name, share in shares.items()]
    return {"token": text, "logprob": math.log(shares.get(text, 0.9)), "top_logprobs": alternatives}


def sure(_: ChatRequest) -> Reply:
    return with_logprobs("B", [token("B", SURE)])


def read(text: str, *tokens: dict[str, Any]) -> Choice | Refusal:
    answer = read_answer(with_logprobs(text, tokens).body)
    assert answer is not None
    return read_choice(PETS, answer)


def shares(choice: Choice | Refusal | BaseException) -> list[float]:
    assert isinstance(choice, Choice)
    return [*choice.probabilities, choice.none]


def test_status_403_for_log_probabilities_is_no_wrong_key(tmp_path: Path) -> None:
    message = "You are not allowed to request logprobs from this model"

    def strict(request: ChatRequest) -> Reply:
        return wrong(403, message) if "logprobs" in request.body else said("B")

    with chat_server(strict) as server, describer(tmp_path, server.url, concurrency=1) as lmm:
        choices = lmm.choose(choice_requests(tmp_path, 4, none_allowed=True))
    assert choices == [Choice((0.0, 1.0), 0.0)] * 4
    assert ["logprobs" in request.body for request in server.asked] == [True, *[False] * 4]


def test_a_request_that_is_rejected_in_each_form_fails_alone(tmp_path: Path) -> None:
    def small(request: ChatRequest) -> Reply:
        return wrong(400, "bad image") if request.prompt.startswith("Which in 1") else sure(request)

    with chat_server(small) as server, describer(tmp_path, server.url) as lmm:
        first_choice, rejected, *other_choices = lmm.choose(
            choice_requests(tmp_path, 4, none_allowed=True)
        )
    assert isinstance(rejected, RequestError)
    assert "bad image" in str(rejected)
    assert all(0 < shares(choice)[1] < 1 for choice in (first_choice, *other_choices))
    assert len(server.asked) == 4 + 2, "nothing is paid twice"


def test_a_wrong_key_is_still_an_error_for_all(tmp_path: Path) -> None:
    with (
        chat_server(lambda _: wrong(403)) as server,
        describer(tmp_path, server.url) as lmm,
        pytest.raises(LatteError, match="403"),
    ):
        lmm.choose(choice_requests(tmp_path, 1))
    assert len(server.asked) == 1


def test_an_answer_that_is_no_letter_is_a_refusal_despite_log_probabilities() -> None:
    assert isinstance(read("The dog", token("The", SURE), token(" dog", SURE)), Refusal)
    assert isinstance(read("D", token("D", {"D": 0.5, "A": 0.5})), Refusal)
    assert isinstance(read("", token("", SURE)), Refusal)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("B. dog", ["B", ".", " dog"]),
        ("(B)", ["(", "B", ")"]),
        ("B", [" B", "\n", "</s>"]),
        ("B.", ["B."]),
        ("<think>A or B, hm</think>B", ["<think>", "A", " or ", "B", ", hm", "</think>", "B"]),
    ],
)
def test_the_letter_s_token_is_found(text: str, tokens: list[str]) -> None:
    unsure_shares = {"A": 0.9, "B": 0.1}
    letter_index = [index for index, piece in enumerate(tokens) if "B" in piece][-1]
    token_records = [
        token(piece, SURE if index == letter_index else unsure_shares)
        for index, piece in enumerate(tokens)
    ]
    total = sum(SURE.values()) - SURE["The"] + (0 if tokens[letter_index] in SURE else 0.9)
    assert shares(read(text, *token_records))[0] == pytest.approx(0.2 / total)


@pytest.mark.parametrize(
    "logprobs",
    [None, [], {}, {"content": None}, {"content": [{}]}, {"content": [{"token": "B"}]},
     {"content": [{"token": "B", "logprob": "x", "top_logprobs": []}]},
     {"content": [{"token": "B", "logprob": -0.1, "top_logprobs": None}]},
     {"content": [{"token": "B", "logprob": math.nan, "top_logprobs": []}]},
     {"content": [{"token": "B", "logprob": -9999.0, "top_logprobs": []}]},
     {"content": [{"token": "dog", "logprob": -0.1, "top_logprobs": []}]},
     {"tokens": ["B"], "token_logprobs": [-0.1]}],
)  # fmt: skip
def test_unusable_log_probabilities_leave_the_letter(logprobs: object) -> None:
    body = said("B").body
    assert isinstance(body, dict)
    body["choices"][0]["logprobs"] = logprobs
    answer = read_answer(body)
    assert answer is not None
    assert read_choice(PETS, answer) == Choice((0.0, 1.0), 0.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", "B", " B", "", "</think>", "dog", "."]),
            st.floats(),
            st.dictionaries(st.sampled_from(["A", "B", "C", "x"]), st.floats()),
        )
    )
)
def test_any_log_probabilities_give_a_choice(written: list[Any]) -> None:
    tokens = [
        {
            "token": text,
            "logprob": logprob,
            "top_logprobs": [
                {"token": name, "logprob": value} for name, value in alternatives.items()
            ],
        }
        for text, logprob, alternatives in written
    ]
    assert sum(shares(read("B. dog", *tokens))) == pytest.approx(1)
