"""Ask a server for a choice among options, and read the choice from its reply.

A choice consists of a probability for each option's letter, or of one letter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from latte.api import Choice, ChoiceRequest, Refusal
from latte_openai.answer import THINK_END, ServerAnswer, Token

_AROUND = " \t\n(.:)"
"""Characters that a tokenizer may join to a letter."""


def question_forms(request: ChoiceRequest) -> Mapping[str, Mapping[str, Any]]:
    """Return the fields to add to a request for each form of a choice, the best form first.

    The forms are log probabilities (20 tokens are the most that OpenAI and vLLM allow), JSON such
    as `{"letter": "B"}`, and the letter alone.
    """
    schema = {
        "type": "object",
        "properties": {"letter": {"type": "string", "enum": [*request.letters]}},
        "required": ["letter"],
        "additionalProperties": False,
    }
    named_schema = {"name": "choice", "strict": True, "schema": schema}
    return {
        "log probabilities": {"logprobs": True, "top_logprobs": 20},
        "JSON": {"response_format": {"type": "json_schema", "json_schema": named_schema}},
        "letter": {},
    }


def is_readable(request: ChoiceRequest, answer: ServerAnswer) -> bool:
    """Return True if `read_choice` can use `answer`: a refusal, log probabilities or a letter."""
    text = answer.text
    return isinstance(text, Refusal) or bool(answer.tokens) or request.letter(text) is not None


def read_choice(request: ChoiceRequest, answer: ServerAnswer) -> Choice | Refusal:
    """Return the probability of each option's letter, from the answer's log probabilities.

    Without log probabilities, the written letter has probability 1. An answer that is no letter is
    a refusal, even if a letter was among the probable tokens.
    """
    if isinstance(answer.text, Refusal):
        return answer.text
    text = _without_structure(answer.text)
    letter = request.letter(text)
    token = None if letter is None else _token(letter, text.strip(), answer.tokens)
    if token is not None:
        weights = dict.fromkeys(request.letters, 0.0)
        for name, weight in _alternatives(token):
            if name in weights:
                weights[name] += weight
        if any(weights.values()):
            return request.choice([*weights.values()])
    return request.read(text)


def _without_structure(text: str) -> str:
    """Return the letter if `text` is JSON such as `{"letter": "B"}`, else the text itself."""
    try:
        letter = json.loads(text)["letter"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return text
    return letter if isinstance(letter, str) else text


def _token(letter: str, text: str, tokens: tuple[Token, ...]) -> Token | None:
    """Return the token of the first `letter` in the answer `text`; None if there is none."""
    generated_text = "".join(token.text for token in tokens)
    start = generated_text.find(text, max(0, generated_text.rfind(THINK_END)))
    if start < 0:
        return None
    place = start + text.index(letter)
    for token in tokens:
        if place < len(token.text):
            return token if token.text.strip(_AROUND) == letter else None
        place -= len(token.text)
    return None


def _alternatives(token: Token) -> Iterator[tuple[str, float]]:
    """Yield (stripped text, probability) of `token` and of each alternative token."""
    for text, logprob in {token.text: token.logprob, **token.alternatives}.items():
        if not math.isnan(logprob):
            yield text.strip(_AROUND), math.exp(min(logprob, 0.0))
