"""Client of one server: the `openai` package sends and retries requests, latte reads replies."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import httpx2
import openai

from latte.api import LatteError, Refusal
from latte_openai.answer import ServerAnswer, read_answer, read_models
from latte_openai.bounded import BoundedClient, UnreachableError, UnreadableReplyError
from latte_openai.errors import (
    RequestError,
    excerpt,
    no_model,
    no_server,
    read_problem,
    status_error,
)
from latte_openai.keys import masked, parsed, read_key
from latte_openai.options import OpenAIOptions, is_loopback

_FIRST_RETRIES = 2
"""Retries without a connection if the server has never answered: it is probably not running."""


class ChatClient:
    """Client of the server that the options name, for use in a single event loop.

    The methods raise `RequestError` if one request gets no answer, and `LatteError` if all requests
    would fail.
    """

    def __init__(self, options: OpenAIOptions) -> None:
        self._options = options
        self._key = read_key(options)
        self._http = BoundedClient(
            options.base_url,
            self._key,
            options.timeout,
            connect_retries=min(options.retries, _FIRST_RETRIES),
            limits=httpx2.Limits(
                max_connections=options.concurrency, max_keepalive_connections=options.concurrency
            ),
            # A proxy for the internet cannot reach a server on this machine.
            trust_env=not is_loopback(options.base_url),
        )
        self._openai = openai.AsyncOpenAI(
            api_key="not used",  # the HTTP client sends the key; None reads the environment
            base_url=options.base_url,
            max_retries=options.retries,
            http_client=self._http,
        )

    @property
    def uncounted(self) -> int:
        """Number of requests that may have cost tokens, and whose tokens no reply counts."""
        return self._http.uncounted

    async def close(self) -> None:
        """Close all connections."""
        await self._openai.close()

    async def complete(self, fields: dict[str, Any]) -> ServerAnswer:
        """Return the answer to a chat completion request with these fields."""
        create = self._openai.chat.completions.with_raw_response.create
        status, reply = await self._reply(create(**fields))
        answer = read_answer(reply) if status == HTTPStatus.OK else None
        if answer is not None:
            # Again, because a server can split the key between parts of a text.
            return replace(answer, text=self._masked(answer.text))
        problem = read_problem(reply)
        if problem.is_content_filter:
            return ServerAnswer(Refusal(f"content filter: {problem.message}"))
        if status == HTTPStatus.OK:
            self._http.uncounted += 1
            raise RequestError(f"the server sent no chat completion, but {excerpt(reply)}")
        if status == HTTPStatus.NOT_FOUND or problem.is_missing_model:
            served = await self._served()
            raise no_model(self._options, fields["model"], problem.message, served)
        raise status_error(status, problem, self._options, has_key=self._key is not None)

    async def models(self) -> tuple[str, ...]:
        """Return the names of the models that the server lists."""
        status, reply = await self._reply(self._openai.models.with_raw_response.list())
        names = read_models(reply)
        if names is None or status != HTTPStatus.OK:
            problem = read_problem(reply)
            raise status_error(status, problem, self._options, has_key=self._key is not None)
        return names

    async def _served(self) -> tuple[str, ...]:
        try:
            return await self.models()
        except (LatteError, RequestError):
            return ()

    async def _reply(self, sent: Awaitable[Any]) -> tuple[int, Any]:
        """Return status and body of a reply, parsed if it is JSON, with the key masked."""
        try:
            reply = (await sent).http_response
        except openai.APIStatusError as error:
            reply = error.response
        except UnreachableError as error:
            raise no_server(self._options, str(error)) from None
        except UnreadableReplyError as error:
            raise RequestError(str(error)) from None
        except openai.APIConnectionError as error:
            what = error.__cause__ or error
            cut = "" if isinstance(error, openai.APITimeoutError) else "the connection was cut: "
            raise RequestError(f"{cut}{str(what) or type(what).__name__}") from None
        self._http.connect_retries = self._options.retries
        return reply.status_code, parsed(reply.text, self._key)

    def _masked(self, text: str | Refusal) -> str | Refusal:
        if isinstance(text, Refusal):
            return Refusal(masked(text.reason, self._key))
        return masked(text, self._key)
