"""Reading of replies: texts, parts, refusals, reasoning, and invalid replies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latte_openai.answer import read_answer, read_models, without_reasoning
from latte_openai.errors import excerpt, read_problem
from openai_double import JSON, said

from latte.api import Refusal


def text_of(content: object, finish: str = "stop", **message: object) -> str | Refusal:
    answer = read_answer(said(content, finish, **message).body)
    assert answer is not None
    return answer.text


def test_text_and_token_usage_are_read() -> None:
    answer = read_answer(said("a red fox").body)
    assert answer is not None
    assert (answer.text, answer.completion_tokens, answer.prompt_tokens) == ("a red fox", 7, 100)


def test_text_truncated_at_max_tokens_is_an_answer() -> None:
    assert text_of("a red fox in the", finish="length") == "a red fox in the"


def test_text_parts_are_joined_and_other_parts_ignored() -> None:
    content = [{"type": "text", "text": "a red "}, {"type": "thinking", "text": "hm"}, "fox", None]
    assert text_of(content) == "a red fox"


@pytest.mark.parametrize("content", [None, "", []])
def test_missing_content_is_an_empty_text(content: object) -> None:
    assert text_of(content) == ""


def test_missing_usage_counts_no_tokens() -> None:
    reply = {"choices": [{"message": {"content": "a fox"}}], "usage": None}
    answer = read_answer(reply)
    assert answer is not None
    assert answer.completion_tokens == 0


def test_refusals_keep_their_reason() -> None:
    text = text_of(None, refusal="I cannot describe people.")
    assert isinstance(text, Refusal)
    assert "I cannot describe people." in text.reason


def test_text_cut_by_content_filter_is_a_refusal() -> None:
    assert text_of("a man who", finish="content_filter") == Refusal("content filter")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("<think>red? yes.</think>\n\na fox", "a fox"),
        ("\n <think>red?\nyes.</think>a fox", "a fox"),
        ("red? yes.</think> a fox", "a fox"),
        ("<think>red? yes", ""),
        ("a fox in <b>snow</b>", "a fox in <b>snow</b>"),
        ("a fox that may <think>", "a fox that may <think>"),
    ],
)
def test_reasoning_before_the_text_is_removed(written: str, text: str) -> None:
    assert without_reasoning(written) == text


def test_separate_reasoning_is_ignored() -> None:
    assert text_of("a fox", reasoning_content="is it red?") == "a fox"


def test_reasoning_without_text_names_the_options_that_avoid_it() -> None:
    for text in (
        text_of(None, "length", reasoning_content="is it"),
        text_of("<think>is it", "length"),
    ):
        assert isinstance(text, Refusal)
        assert "raise `max_tokens`" in text.reason
        assert "`extra_body`" in text.reason


@pytest.mark.parametrize(
    "reply",
    ["<html>busy</html>", [], None, {}, {"choices": []}, {"choices": [{}]},
     {"choices": [{"message": {"content": 3}}]}, {"choices": {"0": 1}}],
)  # fmt: skip
def test_reply_that_is_not_a_completion_is_no_answer(reply: object) -> None:
    assert read_answer(reply) is None


@given(JSON)
def test_arbitrary_json_raises_no_error(reply: object) -> None:
    read_answer(reply)
    read_models(reply)
    assert len(read_problem(reply).message) <= 203


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"error": {"message": "too long", "code": 400}}, "too long"),
        ({"error": "too long"}, "too long"),
        ({"object": "error", "message": "too long", "code": 400}, "too long"),
        ({"detail": "too long"}, "too long"),
        ({"reason": "too long"}, '{"reason": "too long"}'),
        ("too\nlong\x00\x1b[31m", "too long [31m"),
        ("", "nothing"),
    ],
)
def test_error_messages_are_read_in_all_formats(reply: object, message: str) -> None:
    assert read_problem(reply).message == message


@given(st.text())
def test_an_excerpt_is_one_short_printable_line(text: str) -> None:
    assert excerpt(text).isprintable()
    assert 0 < len(excerpt(text)) <= 203
