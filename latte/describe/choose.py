"""Questions that labelers ask a describer about training images: send them, store the answers."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from latte.describe.generate import check_answers, generate
from latte.describe.plan import refuse_secrets
from latte.describe.spending import INPUT, OUTPUT, Spending
from latte.describe.store import SEPARATE, SINGLE, DescriptionStore, StoredText
from latte.interfaces import (
    Choice,
    ChoiceRequest,
    Describer,
    DescribeRequest,
    LatteError,
    Progress,
    Refusal,
)
from latte.interfaces.provider import provider_of, shown_provider

_CHARACTERS = 500
"""Largest number of characters of a text answer as JSON, so that the store does not truncate it."""
_MOST_TOKENS = 10**9
"""Stored token counts above this number are invalid and are ignored."""
_DIGITS = 6
"""Decimal places of stored probabilities, of which 26 must fit into a stored text."""


RequestT = TypeVar("RequestT", ChoiceRequest, DescribeRequest)
AnswerT = TypeVar("AnswerT")


class QuestionPlan(ABC, Generic[RequestT, AnswerT]):
    """Base class for the requests of a labeler to a describer; equal requests are sent once.

    Texts and choices are stored under different keys, because `version` is part of each key. Raises
    `LatteError` if a request or the fingerprint contains a secret, or if a request has too many or
    too few images.
    """

    version: ClassVar[str]
    """Part of each key; change it if the wording of questions or the format of answers changes."""
    noun: ClassVar[str]
    needs_text: ClassVar[bool] = False
    fewest_images: ClassVar[int]

    def __init__(self, describer: Describer[Any], requests: Sequence[RequestT]) -> None:
        self.fingerprint: str = f"{self.version} {describer.fingerprint}"
        refuse_secrets(self.fingerprint)
        for prompt in {self.question(request).prompt for request in requests}:
            refuse_secrets(prompt)
        for request in requests:
            if not self.fewest_images <= len(request.images) <= describer.max_images:
                raise LatteError(
                    f"a question about {len(request.images)} images was asked of a describer that "
                    f"takes {self.fewest_images} to {describer.max_images}",
                    where="describer",
                )
        self._counted = counted_tokens(describer)
        self._describer = describer
        self._all: tuple[RequestT, ...] = tuple(requests)
        self.keys: tuple[str, ...] = tuple(self._record(request).key for request in requests)
        self._distinct: dict[str, RequestT] = dict(zip(self.keys, requests, strict=True))
        self._order: tuple[str, ...] = tuple(self._distinct)

    @abstractmethod
    def question(self, request: RequestT) -> DescribeRequest:
        """Convert `request` to the question that is stored with the answer.

        The key of the answer is computed from the question, so different requests must have
        different questions.
        """

    @abstractmethod
    def ask(
        self, describer: Describer[Any], requests: Sequence[RequestT]
    ) -> Sequence[str | list[float] | Refusal | BaseException]:
        """Send `requests` to `describer`; return its answers as JSON values."""

    @abstractmethod
    def read(self, request: RequestT, value: Any) -> AnswerT:
        """Convert a stored JSON value to an answer. Raises `ValueError` or `TypeError`."""

    def send(
        self, describer: Describer[Any], requests: Sequence[RequestT]
    ) -> Sequence[str | Refusal | BaseException]:
        """Send `requests` to `describer`; return its answers as texts that can be stored.

        If the describer counts tokens, each text includes a token count: the tokens used since the
        last successful call, divided by the number of requests.
        """
        answers = self.ask(describer, requests)
        counts_before, self._counted = self._counted, counted_tokens(describer)
        tokens = None
        if counts_before and self._counted:
            count_pairs = zip(self._counted, counts_before, strict=True)
            tokens = [
                math.ceil((count - count_before) / len(requests))
                for count, count_before in count_pairs
            ]
        return [
            _as_text(answer, tokens) if isinstance(answer, str | list) else answer
            for answer in answers
        ]

    def answers(
        self,
        store: DescriptionStore,
        progress: Progress,
        *,
        ask: bool = True,
        spending: Spending | None = None,
    ) -> list[AnswerT | None]:
        """Return the answer to each request, from `store` or by asking the describer.

        The answer is None if the request was refused, failed, or got an invalid answer. Equal
        requests are sent once. If `ask` is false, only stored answers are used. Raises `LatteError`
        if all requests failed.
        """
        if ask and self._order:
            generate(self._describer, self, store, progress, spending=spending)
        texts = map(store.get, self.keys)
        return [self._read(request, text) for request, text in zip(self._all, texts, strict=True)]

    def __len__(self) -> int:
        return len(self._order)

    def key(self, index: int) -> str:
        """Return the key under which the answer to request `index` is stored."""
        return self._order[index]

    def request(self, index: int) -> RequestT:
        """Return request `index`."""
        return self._distinct[self._order[index]]

    def record(self, index: int) -> StoredText:
        """Return a record for request `index`, whose answer is still missing."""
        return self._record(self.request(index))

    def _read(self, request: RequestT, text: str | None) -> AnswerT | None:
        if text is None:
            return None
        try:
            stored_value = json.loads(text)
            return self.read(
                request, stored_value["answer"] if isinstance(stored_value, dict) else stored_value
            )
        except (TypeError, ValueError, LookupError, ArithmeticError, RecursionError):
            return None

    def _record(self, request: RequestT) -> StoredText:
        question = self.question(request)
        layout = SINGLE if len(question.images) == 1 else SEPARATE
        images = [image.key for image in question.images]
        return StoredText.unanswered(
            self.fingerprint, question.prompt, images, layout, question.sample
        )


class TextPlan(QuestionPlan[DescribeRequest, str]):
    """Questions that are answered by a text; a question need not show any image."""

    version = "text-1"
    noun = "answers"
    fewest_images = 0

    def question(self, request: DescribeRequest) -> DescribeRequest:
        """Return `request`, because it already is a question."""
        return request

    def ask(
        self, describer: Describer[Any], requests: Sequence[DescribeRequest]
    ) -> Sequence[str | Refusal | BaseException]:
        """Return the texts of `describer`, truncated if they are too long to be stored."""
        answers = describer.describe(requests)
        check_answers(describer, len(requests), answers)
        return [_beginning(text) if isinstance(text, str) else text for text in answers]

    def read(self, request: DescribeRequest, value: Any) -> str:
        """Return the stored text. Raises `TypeError` if `value` is not a string."""
        if not isinstance(value, str):
            raise TypeError("no text")
        return value


class ChoicePlan(QuestionPlan[ChoiceRequest, Choice]):
    """Multiple-choice questions; the stored answer is a list of probabilities, one per option."""

    version = "choice-1"
    noun = "choices"
    fewest_images = 1

    def question(self, request: ChoiceRequest) -> DescribeRequest:
        """Convert `request` to a question that lists the options, each with a letter."""
        return request.question()

    def ask(
        self, describer: Describer[Any], requests: Sequence[ChoiceRequest]
    ) -> Sequence[list[float] | Refusal | BaseException]:
        """Return for each request the probabilities of its options, in order, or a refusal."""
        choices = describer.choose(requests)
        if not isinstance(choices, Sequence):
            raise _mistake(describer, f"a value of type {type(choices).__name__}")
        if len(choices) != len(requests):
            raise _mistake(describer, f"{len(choices)} choices for {len(requests)} requests")
        answers: list[list[float] | Refusal | BaseException] = []
        for request, choice in zip(requests, choices, strict=True):
            if isinstance(choice, Refusal | BaseException):
                answers.append(choice)
                continue
            try:
                answers.append(_shares(request, choice))
            except (AttributeError, TypeError, ValueError):
                raise _mistake(describer, f"{choice} for {request.options}") from None
        return answers

    def read(self, request: ChoiceRequest, value: Any) -> Choice:
        """Convert a stored list with one probability per option to a `Choice`."""
        return request.choice(value)


def stored_tokens(text: str | None) -> tuple[int, int] | None:
    """Return the numbers of input and output tokens of a stored answer; None if not counted."""
    try:
        input_tokens, output_tokens = json.loads(text or "")["tokens"]
        is_valid = all(
            type(count) is int and 0 <= count <= _MOST_TOKENS
            for count in (input_tokens, output_tokens)
        )
        return (input_tokens, output_tokens) if is_valid else None
    except (TypeError, ValueError, LookupError, RecursionError):
        return None


def counted_tokens(describer: Describer[Any]) -> tuple[int, int] | None:
    """Return how many input and output tokens `describer` used so far; None if not counted."""
    counters = describer.counters
    return (counters[INPUT], counters[OUTPUT]) if {INPUT, OUTPUT} <= counters.keys() else None


def _mistake(describer: Describer[Any], what: str) -> LatteError:
    return LatteError(
        f"{type(describer).__name__} returned {what}; it must return one `Choice` or `Refusal` for "
        "each request, with one probability per option",
        where=shown_provider(describer) or "describer",
        hint=provider_of(describer).hint,
    )


def _shares(request: ChoiceRequest, choice: Choice) -> list[float]:
    none = [choice.none] if request.none_allowed or choice.none else []
    same = request.choice([*choice.probabilities, *none])
    shares = [*same.probabilities, same.none][: len(request.letters)]
    return [round(share, _DIGITS) for share in shares]


def _beginning(text: str) -> str:
    text = text[:_CHARACTERS]
    while len(json.dumps(text, ensure_ascii=False)) > _CHARACTERS:
        text = text[:-1]
    return text


def _as_text(value: str | list[float], tokens: list[int] | None) -> str:
    """Return an answer as JSON, with its `tokens` if they are counted; "" for an empty answer."""
    if not value:
        return ""
    content = value if tokens is None else {"answer": value, "tokens": tokens}
    return json.dumps(content, ensure_ascii=False)
