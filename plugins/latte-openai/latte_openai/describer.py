"""Describer `openai`, which sends the requests of a batch concurrently."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from latte.api import (
    Choice,
    ChoiceRequest,
    Context,
    Describer,
    DescribeRequest,
    LatteError,
    Refusal,
)
from latte_openai.answer import ServerAnswer
from latte_openai.choice import is_readable, question_forms, read_choice
from latte_openai.client import ChatClient
from latte_openai.errors import RejectedError, which_model
from latte_openai.loop import LoopThread
from latte_openai.options import OpenAIOptions
from latte_openai.question import chat_fields

VERSION = 1
"""Part of the fingerprint; increase it when equal options lead to other requests or texts."""
_BATCHES = 4
"""Batch size divided by the number of concurrent requests. Near the end of each batch, fewer
requests run at once, so larger batches waste less time."""

AskedRequest = DescribeRequest | ChoiceRequest


class OpenAIDescriber(Describer[OpenAIOptions]):
    """Describer that asks a server with OpenAI's chat completions API.

    Answers that have arrived are returned even if another request fails, or if Ctrl-C or an error
    of the server ends the batch. So no answer is paid for twice.
    """

    def __init__(self, options: OpenAIOptions, context: Context) -> None:
        super().__init__(options, context)
        self._tokens = {"tokens": 0, "prompt tokens": 0}
        self._uncounted = 0
        self._rejected: set[str] = set()
        """Forms of choices that the server rejects, or answers like another form."""
        self._loop: LoopThread | None = None

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
        """Return the server's counts of generated tokens and of prompt tokens (images included).

        Also the number of requests whose tokens are unknown, such as those that were cut off.
        """
        sent = self._client.uncounted if "_client" in vars(self) else 0
        unknown = self._uncounted + sent
        return {**self._tokens, **({"uncounted requests": unknown} if unknown else {})}

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of the model and all options that change texts.

        If the options name no model, the server is asked for the model that it serves.
        """
        settings = json.dumps(self.options.settings(), sort_keys=True)
        digest = hashlib.blake2b(settings.encode(), digest_size=16)
        return f"openai-{VERSION}:{self._model}:{digest.hexdigest()}"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str | Refusal | BaseException]:
        """Return a text, a refusal or a final error for each request."""
        answers = self._answers(requests)
        return [answer.text if isinstance(answer, ServerAnswer) else answer for answer in answers]

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice | Refusal | BaseException]:
        """Return one choice per request, read from log probabilities, JSON or a letter."""
        answers = self._answers(requests)
        return [
            read_choice(request, answer) if isinstance(answer, ServerAnswer) else answer
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _answers(self, requests: Sequence[AskedRequest]) -> list[ServerAnswer | BaseException]:
        answers: dict[int, ServerAnswer | BaseException] = {}
        try:
            if requests:
                model = self._model
                self._run_loop().run(self._answer_all(requests, model, answers))
        except BaseException as error:  # Ctrl-C, too
            if len(answers) == len(requests):
                answers.popitem()  # Ctrl-C came after the last answer, and must not get lost
            if not answers:
                raise
            return [answers.get(index, error) for index in range(len(requests))]
        return [answers[index] for index in range(len(requests))]

    def close(self) -> None:
        """Close all connections and the thread that serves them."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.run(self._client.close())
            loop.close()
            self._uncounted += self._client.uncounted
            del self._client

    def _run_loop(self) -> LoopThread:
        if self._loop is None:
            _ = self._client  # its errors come before the thread
            self._loop = LoopThread()
        return self._loop

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

    async def _answer_all(
        self,
        requests: Sequence[AskedRequest],
        model: str,
        answers: dict[int, ServerAnswer | BaseException],
    ) -> None:
        """Fill `answers` in the order of arrival. Raises the first `LatteError`."""
        slots = asyncio.Semaphore(self.options.concurrency)

        async def answer(index: int) -> None:
            async with slots:
                try:
                    answers[index] = await self._answer(requests[index], model)
                except LatteError:
                    raise
                except Exception as error:  # the other answers are independent of this one
                    answers[index] = error

        try:
            async with asyncio.TaskGroup() as tasks:
                for index in range(len(requests)):
                    tasks.create_task(answer(index))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _answer(self, request: AskedRequest, model: str) -> ServerAnswer:
        if isinstance(request, ChoiceRequest):
            return await self._choose(request, await self._fields(request.question(), model))
        return await self._complete(await self._fields(request, model))

    async def _fields(self, question: DescribeRequest, model: str) -> dict[str, Any]:
        """Encode the images of `question` in another thread, beside the requests."""
        return await asyncio.to_thread(chat_fields, question, model, self.options)

    async def _choose(self, request: ChoiceRequest, fields: dict[str, Any]) -> ServerAnswer:
        """Ask for a choice with log probabilities, else as JSON, else as a letter.

        Later choices omit the forms that the server rejected or ignored, unless the answer is a
        refusal, which may have other reasons.
        """
        answer: ServerAnswer | None = None
        rejected_forms: set[str] = set()
        for form, form_fields in question_forms(request).items():
            if form in self._rejected or (
                answer and (is_readable(request, answer) or not form_fields)
            ):
                continue
            try:
                latest = await self._complete({**fields, **form_fields})
            except RejectedError:
                if not form_fields:
                    raise
                rejected_forms.add(form)
                continue
            if answer and answer.text == latest.text:
                rejected_forms.add(form)
            answer = latest
        assert answer is not None, "the last form asks for the letter alone"
        if not isinstance(answer.text, Refusal):
            self._rejected |= rejected_forms
        return answer

    async def _complete(self, fields: dict[str, Any]) -> ServerAnswer:
        answer = await self._client.complete(fields)
        self._tokens["tokens"] += answer.completion_tokens
        self._tokens["prompt tokens"] += answer.prompt_tokens
        return answer
