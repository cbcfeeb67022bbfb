"""From a server's reply to a text, whatever dialect of chat completions it speaks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from latte.api import Refusal
from latte_openai.failures import TransientError
from latte_openai.problem import excerpt, read_problem

_THINK, _THOUGHT = "<think>", "</think>"


@dataclass(frozen=True)
class Answer:
    """What a request got, and what the server says that it cost."""

    text: str | Refusal
    completion_tokens: int = 0
    prompt_tokens: int = 0


def read_answer(reply: str) -> Answer:
    """The first choice of `reply`.

    Raises `TransientError`, which quotes the reply, where it is no chat completion.
    """
    try:
        fields = json.loads(reply)
        choice = fields["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        text = _text(message, finish)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return _no_completion(reply)
    usage = fields.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Answer(text, _count(usage, "completion_tokens"), _count(usage, "prompt_tokens"))


def read_models(reply: str) -> tuple[str, ...]:
    """The names in a reply to `/models`; raises `TransientError` where it is none."""
    try:
        return tuple(str(model["id"]) for model in json.loads(reply)["data"] or ())
    except (ValueError, LookupError, TypeError, RecursionError):
        raise TransientError(f"the server sent no list of models, but {excerpt(reply)}") from None


def without_thoughts(text: str) -> str:
    """`text` without the reasoning that comes before it; empty where reasoning never ended."""
    if _THOUGHT in text:
        return text.rpartition(_THOUGHT)[2].strip()
    return "" if text.lstrip().startswith(_THINK) else text


def _no_completion(reply: str) -> Answer:
    """Some servers send errors with status 200."""
    problem = read_problem(reply)
    if problem.is_content_filter:
        return Answer(Refusal(f"content filter: {problem.message}"))
    raise TransientError(f"the server sent no chat completion, but {excerpt(reply)}")


def _text(message: dict[str, Any], finish: object) -> str | Refusal:
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        return Refusal(f"the model refuses: {refusal}")
    if finish == "content_filter":
        return Refusal("content filter")
    written = _written(message.get("content"))
    text = without_thoughts(written)
    thought = written or message.get("reasoning_content") or message.get("reasoning")
    if not text.strip() and thought and finish == "length":
        return Refusal("only reasoning within max_tokens, no text")
    return text


def _written(content: object) -> str:
    """Content may be a text, a list of parts or missing."""
    if isinstance(content, list):
        return "".join(_part(part) for part in content)
    if content is None or isinstance(content, str):
        return content or ""
    raise TypeError("content is neither text nor parts")


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    return text if isinstance(text, str) else ""


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0
