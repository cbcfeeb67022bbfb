"""HTTP: sends one request, tries again what may go well, and says plainly what cannot."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2

from latte.api import LatteError, Refusal
from latte_openai.answer import Answer, read_answer, read_models
from latte_openai.failures import (
    NotFoundError,
    RefusedError,
    RequestError,
    TransientError,
    UnreachableError,
)
from latte_openai.keys import is_loopback, masked, read_key
from latte_openai.mistakes import no_address, no_model, no_server
from latte_openai.options import OpenAIOptions
from latte_openai.status import refuse
from latte_openai.waiting import waiting_time

_CONNECT_SECONDS = 10.0
_FIRST_RETRIES = 2
"""A server that has never answered is probably not there at all."""
ReplyT = TypeVar("ReplyT")


class ChatClient:
    """One server, as the options name it. Use it in one event loop.

    Its methods raise `RequestError` where one request gets no answer, and `LatteError` for what
    concerns all of them: the key, the model, the address.
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
        self._http = httpx2.AsyncClient(
            headers=self._headers(),
            timeout=httpx2.Timeout(
                options.timeout, connect=min(_CONNECT_SECONDS, options.timeout), pool=None
            ),
            limits=httpx2.Limits(
                max_connections=options.concurrency,
                max_keepalive_connections=options.concurrency,
            ),
            # A proxy for the internet cannot reach a server on this machine.
            trust_env=not is_loopback(options.base_url),
        )

    async def complete(self, body: bytes, model: str) -> Answer:
        """The answer to the chat completion `body`, which names `model`."""
        try:
            return await self._ask("POST", "/chat/completions", body, read_answer)
        except RefusedError as refused:
            return Answer(Refusal(str(refused)))
        except NotFoundError as error:
            what = str(error)
        raise no_model(self._options, model, what, await self._models_if_any())

    async def models(self) -> tuple[str, ...]:
        """The names of the models that the server lists."""
        try:
            return await self._ask("GET", "/models", None, read_models)
        except (NotFoundError, RefusedError) as error:
            raise no_address(self._options, str(error)) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _models_if_any(self) -> tuple[str, ...]:
        try:
            return await self.models()
        except (LatteError, RequestError):
            return ()

    async def _ask(
        self, method: str, path: str, body: bytes | None, read: Callable[[str], ReplyT]
    ) -> ReplyT:
        attempt = 0
        while True:
            try:
                return read(await self._send(method, path, body))
            except TransientError as error:
                if attempt >= self._allowed(error):
                    raise self._gave_up(error, attempt + 1) from None
                wait = waiting_time(attempt, error.wait, self._options.max_wait, self._draw())
            attempt += 1
            await self._sleep(wait)

    async def _send(self, method: str, path: str, body: bytes | None) -> str:
        try:
            url = self._options.base_url + path
            reply = await self._http.request(method, url, content=body)
            text = masked(reply.text, self._key)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise UnreachableError(_in_words(error)) from None
        except httpx2.TimeoutException:
            seconds = f"{self._options.timeout:g} s"
            raise TransientError(f"the server was silent for {seconds}") from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise TransientError(f"the connection was cut: {_in_words(error)}") from None
        self._has_answered = True
        if not reply.is_success:
            wait = reply.headers.get("Retry-After")
            refuse(reply.status_code, text, wait, self._options, self._key is not None)
        return text

    def _allowed(self, error: TransientError) -> int:
        """How often a request is tried again after `error`."""
        retries = self._options.retries
        is_first = isinstance(error, UnreachableError) and not self._has_answered
        return min(retries, _FIRST_RETRIES) if is_first else retries

    def _gave_up(self, error: TransientError, times: int) -> Exception:
        if isinstance(error, UnreachableError):
            return no_server(self._options, str(error))
        return RequestError(f"{error} (asked {'once' if times == 1 else f'{times} times'})")

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "latte-openai"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return headers


def _in_words(error: Exception) -> str:
    return str(error) or type(error).__name__
