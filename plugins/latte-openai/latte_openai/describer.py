"""Describer `openai`, which sends requests concurrently and caches their answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from latte.api import Choice, ChoiceRequest, Context, Describer, DescribeRequest, Refusal
from latte_openai.answer import Answer
from latte_openai.choice import LOGPROBS, is_readable, read_choice, structured
from latte_openai.client import ChatClient
from latte_openai.errors import RejectedError, RequestError, which_model
from latte_openai.loop import LoopThread
from latte_openai.options import OpenAIOptions
from latte_openai.question import chat_fields, request_key

VERSION = 1
"""Part of the fingerprint; increase it when equal options lead to other requests or texts."""

Asked = DescribeRequest | ChoiceRequest

_BATCHES = 4
"""Batch size divided by the number of concurrent requests. Near the end of each batch, fewer
requests run at once, so larger batches waste less time."""


class OpenAIDescriber(Describer[OpenAIOptions]):
    """Describer that asks a server and caches its answers until a complete batch is returned.

    If one request of a batch fails, latte splits the batch into halves and asks again. Thanks to
    the cache, answers are not paid for twice. A failed request is sent again in the next run only.
    """

    def __init__(self, options: OpenAIOptions, context: Context) -> None:
        super().__init__(options, context)
        self._answers: dict[str, Answer] = {}
        self._failures: dict[str, str] = {}
        self._spent = {"tokens": 0, "prompt tokens": 0}
        self._loop: LoopThread | None = None
        self._rejected: set[str] = set()
        """Names of request fields for choices that the server rejects or ignores."""

    @property
    def max_images(self) -> int:
        """Return the largest number of images per request: 1 if groups are shown as a grid."""
        return self.options.max_images if self.options.images == "separate" else 1

    @property
    def batch_size(self) -> int:
        """Return the number of requests per batch, several times the concurrency."""
        return _BATCHES * self.options.concurrency

    @property
    def varies(self) -> bool:
        """Return True if texts are sampled: the temperature is above 0 or left to the server."""
        return self.options.varies

    @property
    def counters(self) -> Mapping[str, int]:
        """Return the server's counts of generated tokens and of prompt tokens (images included)."""
        return dict(self._spent)

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of the model and all options that change texts.

        If the options name no model, the server is asked for the model that it serves.
        """
        settings = _settings(self.options)
        digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
        return f"openai-{VERSION}:{self._model}:{digest.hexdigest()}"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str | Refusal]:
        """Return one answer per request. Raises `RequestError` if one fails after its retries."""
        return [answer.text for answer in self._answered(requests)]

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice | Refusal]:
        """Return one choice per request, read from log probabilities, JSON or a letter."""
        answers = self._answered(requests)
        return [read_choice(*both) for both in zip(requests, answers, strict=True)]

    def _answered(self, requests: Sequence[Asked]) -> list[Answer]:
        keys = [_key(request) for request in requests]
        keyed = dict(zip(keys, requests, strict=True))
        known = self._answers.keys() | self._failures.keys()
        missing = {key: request for key, request in keyed.items() if key not in known}
        if missing:
            model = self._model
            self._run_loop().run(self._ask_all(missing, model))
        for key in keyed:
            if key in self._failures:
                raise RequestError(self._failures[key])
        answers = [self._answers[key] for key in keys]
        for key in keyed:
            del self._answers[key]
        return answers

    def close(self) -> None:
        """Close all connections and the thread that serves them."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.run(self._client.close())
            loop.close()
            del self._client

    @cached_property
    def _client(self) -> ChatClient:
        return ChatClient(self.options)

    @cached_property
    def _model(self) -> str:
        if self.options.model is not None:
            return self.options.model
        served = self._run_loop().run(self._client.models())
        if len(served) != 1:
            raise which_model(self.options, served)
        return served[0]

    def _run_loop(self) -> LoopThread:
        if self._loop is None:
            _ = self._client
            self._loop = LoopThread()
        return self._loop

    async def _ask_all(self, requests: Mapping[str, Asked], model: str) -> None:
        slots = asyncio.Semaphore(self.options.concurrency)
        tasks = [
            asyncio.create_task(self._ask(key, request, model, slots))
            for key, request in requests.items()
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, key: str, request: Asked, model: str, slots: asyncio.Semaphore) -> None:
        """Send one request when one of the `slots` is free, and store its answer or failure."""
        async with slots:
            fields = await asyncio.to_thread(chat_fields, _question(request), model, self.options)
            try:
                if isinstance(request, ChoiceRequest):
                    self._answers[key] = await self._choose(request, fields)
                else:
                    self._answers[key] = await self._complete(fields)
            except RequestError as error:
                self._failures[key] = str(error)

    async def _choose(self, request: ChoiceRequest, fields: dict[str, Any]) -> Answer:
        """Ask for a choice with log probabilities, else as JSON, else as a letter.

        Unless the answer is a refusal, later choices omit the fields that the server rejected. They
        also omit the request for JSON if it did not change the text.
        """
        rejected: set[str] = set()
        answer = await self._accepted(fields, LOGPROBS, rejected)
        if answer is None or not is_readable(request, answer):
            structure = structured(request)
            again = await self._accepted(fields, structure, rejected)
            if again is not None and answer is not None and again.text == answer.text:
                rejected.update(structure)
            answer = again or answer
        if answer is None:
            answer = await self._complete(fields)
        if not isinstance(answer.text, Refusal):
            self._rejected |= rejected
        return answer

    async def _accepted(
        self, fields: dict[str, Any], more: Mapping[str, Any], rejected: set[str]
    ) -> Answer | None:
        """Return the answer to a request with `fields` and `more`; None if `more` is rejected."""
        if not self._rejected.isdisjoint(more):
            return None
        try:
            return await self._complete({**fields, **more})
        except RejectedError:
            rejected.update(more)
            return None

    async def _complete(self, fields: dict[str, Any]) -> Answer:
        answer = await self._client.complete(fields)
        self._spent["tokens"] += answer.completion_tokens
        self._spent["prompt tokens"] += answer.prompt_tokens
        return answer


def _question(request: Asked) -> DescribeRequest:
    return request.question() if isinstance(request, ChoiceRequest) else request


def _key(request: Asked) -> str:
    return f"{request_key(_question(request))}{' choice' * isinstance(request, ChoiceRequest)}"


def _settings(options: OpenAIOptions) -> dict[str, object]:
    names = {"revision", "system_prompt", "max_tokens", "temperature", "top_p", "extra_body"}
    names |= {"detail", "max_side", "format"}
    names |= {"seed"} if options.varies else set()
    names |= {"quality"} if options.format == "jpeg" else set()
    return options.model_dump(mode="json", include=names)
