"""Read choices from replies: probabilities of letters, if the server sends log probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from latte.api import Choice, ChoiceRequest, Refusal
from latte_openai.answer import THINK_END, Answer, Token

LOGPROBS: Mapping[str, Any] = {"logprobs": True, "top_logprobs": 20}
"""Fields of a request that ask for log probabilities; 20 is the largest number that OpenAI and
vLLM allow."""
_AROUND = " \t\n(.:)"
"""Characters that a tokenizer may join to a letter."""


def read_choice(request: ChoiceRequest, answer: Answer) -> Choice | Refusal:
    """Return the letters' probabilities; without log probabilities, 1 for the written letter.

    A letter that is not among the server's most probable tokens gets probability 0. An answer that
    is no letter is a refusal, even if a letter was among the probable tokens.
    """
    if isinstance(answer.text, Refusal):
        return answer.text
    letter = request.letter(answer.text)
    token = None if letter is None else _token(letter, answer.text.strip(), answer.tokens)
    if token is not None:
        weights = dict.fromkeys(request.letters, 0.0)
        for text, weight in _alternatives(token):
            if text in weights:
                weights[text] += weight
        if any(weights.values()):
            return request.choice([*weights.values()])
    return request.read(answer.text)


def _token(letter: str, text: str, tokens: tuple[Token, ...]) -> Token | None:
    """Return the token that holds `letter`, the first one in the answer `text`."""
    written = "".join(token.text for token in tokens)
    start = written.find(text, max(0, written.rfind(THINK_END)))
    if start < 0:
        return None
    place = start + text.index(letter)
    for token in tokens:
        if place < len(token.text):
            return token if token.text.strip(_AROUND) == letter else None
        place -= len(token.text)
    return None


def _alternatives(token: Token) -> Iterator[tuple[str, float]]:
    """Yield the stripped text and the probability of `token` and of each alternative to it."""
    for text, logprob in {token.text: token.logprob, **token.alternatives}.items():
        if not math.isnan(logprob):
            yield text.strip(_AROUND), math.exp(min(logprob, 0.0))
