"""Read the replies of servers, which send texts, reasoning and refusals in different ways.

The functions read plain JSON, because the classes of the `openai` package do not validate it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latte.api import Refusal

_THINK, THINK_END = "<think>", "</think>"


@dataclass(frozen=True)
class Token:
    """Token of a text, with the log probabilities of this token and of alternative tokens."""

    text: str
    logprob: float
    alternatives: Mapping[str, float]


@dataclass(frozen=True)
class ServerAnswer:
    """Answer to one request: its text or refusal, and the server's token counts."""

    text: str | Refusal
    completion_tokens: int = 0
    prompt_tokens: int = 0
    tokens: tuple[Token, ...] = ()
    """The tokens of the text; empty if the server sent no log probabilities."""


def read_answer(reply: Any) -> ServerAnswer | None:
    """Return the first text or refusal in `reply`; None if `reply` is no chat completion."""
    try:
        choice = reply["choices"][0]
        text = _text(choice["message"], choice.get("finish_reason"))
    except (LookupError, TypeError, AttributeError):
        return None
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    output_tokens, prompt_tokens = (
        _count(usage, "completion_tokens"),
        _count(usage, "prompt_tokens"),
    )
    return ServerAnswer(text, output_tokens, prompt_tokens, _tokens(choice.get("logprobs")))


def read_models(reply: Any) -> tuple[str, ...] | None:
    """Return the model names in a reply to `/models`; None if it has no list."""
    try:
        return tuple(str(model["id"]) for model in reply["data"] or ())
    except (LookupError, TypeError):
        return None


def without_reasoning(text: str) -> str:
    """Return `text` without its leading reasoning; empty if the reasoning does not end."""
    if THINK_END in text:
        return text.rpartition(THINK_END)[2].strip()
    return "" if text.lstrip().startswith(_THINK) else text


def _text(message: dict[str, Any], finish: object) -> str | Refusal:
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        return Refusal(f"the model refuses: {refusal}")
    if finish == "content_filter":
        return Refusal("content filter")
    content_text = _written(message.get("content"))
    text = without_reasoning(content_text)
    reasoning = content_text or message.get("reasoning_content") or message.get("reasoning")
    if not text.strip() and reasoning and finish == "length":
        return Refusal(
            "only reasoning within max_tokens, no text: raise `max_tokens`, or switch reasoning "
            "off with `extra_body`"
        )
    return text


def _written(content: object) -> str:
    """Return the text of `content`, which may be a list of parts or missing."""
    if isinstance(content, list):
        texts = (
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
            for part in content
        )
        return "".join(part for part in texts if isinstance(part, str))
    if content is None or isinstance(content, str):
        return content or ""
    raise TypeError("content is neither text nor parts")


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    try:
        return tuple(
            Token(
                str(token["token"]),
                float(token["logprob"]),
                {
                    str(alternative["token"]): float(alternative["logprob"])
                    for alternative in token["top_logprobs"]
                },
            )
            for token in logprobs["content"]
        )
    except (ValueError, LookupError, TypeError, OverflowError):
        return ()
