"""Client of one server, which sends requests through the `openai` package and retries them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import httpx2
import openai

from latte.api import LatteError, Refusal
from latte_openai.answer import Answer, read_answer, read_models
from latte_openai.backoff import waiting_time
from latte_openai.bounded import BoundedClient
from latte_openai.errors import (
    NotFoundError,
    RefusedError,
    RequestError,
    TransientError,
    UnreachableError,
    no_address,
    no_model,
    no_server,
    raise_for_status,
)
from latte_openai.keys import masked, masked_reply, read_key
from latte_openai.options import OpenAIOptions, is_loopback

_FIRST_RETRIES = 2
"""Number of retries if the server has never answered: it is probably not running."""
ReplyT = TypeVar("ReplyT")


class ChatClient:
    """Client of the server that the options name, for use in a single event loop.

    The methods raise `RequestError` if one request gets no answer, and `LatteError` if all requests
    would fail. This class retries requests itself: the `openai` package waits at most 8 seconds,
    ignores a `Retry-After` above 60, and accepts a reply that is not a chat completion.
    """

    def __init__(
        self,
        options: OpenAIOptions,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._sleep = sleep
        self._draw = draw
        self._key = read_key(options)
        self._has_answered = False
        bounded = BoundedClient(
            options.base_url,
            self._key,
            options.timeout,
            limits=httpx2.Limits(
                max_connections=options.concurrency, max_keepalive_connections=options.concurrency
            ),
            # A proxy for the internet cannot reach a server on this machine.
            trust_env=not is_loopback(options.base_url),
        )
        self._openai = openai.AsyncOpenAI(
            api_key="not used",  # the HTTP client sends the key; None reads the environment
            base_url=options.base_url,
            max_retries=0,
            http_client=bounded,
        )

    async def complete(self, fields: dict[str, Any]) -> Answer:
        """Return the answer to a chat completion request with these fields."""
        create = self._openai.chat.completions.with_raw_response.create
        try:
            answer = await self._retried(lambda: create(**fields), read_answer)
        except RefusedError as refused:
            return Answer(Refusal(str(refused)))
        except NotFoundError as error:
            missing = error
        else:
            return replace(answer, text=self._masked(answer.text))
        raise no_model(self._options, fields["model"], missing, await self._models_if_any())

    def _masked(self, text: str | Refusal) -> str | Refusal:
        """Return `text` with the key masked.

        Masking needs the whole text, because a server can split the key between parts of its reply.
        """
        if isinstance(text, Refusal):
            return Refusal(masked(text.reason, self._key))
        return masked(text, self._key)

    async def models(self) -> tuple[str, ...]:
        """Return the names of the models that the server lists."""
        try:
            return await self._retried(self._openai.models.with_raw_response.list, read_models)
        except (NotFoundError, RefusedError) as error:
            raise no_address(self._options, str(error)) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._openai.close()

    async def _models_if_any(self) -> tuple[str, ...]:
        try:
            return await self.models()
        except (LatteError, RequestError):
            return ()

    async def _retried(
        self, send: Callable[[], Awaitable[Any]], read: Callable[[str], ReplyT]
    ) -> ReplyT:
        attempt = 0
        while True:
            try:
                return read(await self._text(send))
            except TransientError as error:
                most, unreachable = self._options.retries, isinstance(error, UnreachableError)
                if unreachable and not self._has_answered:
                    most = min(most, _FIRST_RETRIES)
                if attempt >= most and unreachable:
                    raise no_server(self._options, str(error)) from None
                if attempt >= most:
                    times = f"{attempt + 1} times" if attempt else "once"
                    raise RequestError(f"{error} (asked {times})") from None
                wait = waiting_time(attempt, error.wait, self._options.max_wait, self._draw())
            attempt += 1
            await self._sleep(wait)

    async def _text(self, send: Callable[[], Awaitable[Any]]) -> str:
        try:
            reply = (await send()).http_response
        except openai.APIStatusError as error:
            reply = error.response
        except openai.APIConnectionError as error:
            raise _transient(error.__cause__ or error) from None
        self._has_answered = True
        text = masked_reply(reply.text, self._key)
        if not reply.is_success:
            wait = reply.headers.get("Retry-After")
            raise_for_status(reply.status_code, text, wait, self._options, self._key is not None)
        return text


def _transient(error: BaseException) -> TransientError:
    what = str(error) or type(error).__name__
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return UnreachableError(what)
    if isinstance(error, httpx2.ReadTimeout | httpx2.DecodingError):
        return TransientError(what)
    return TransientError(f"the connection was cut: {what}")
