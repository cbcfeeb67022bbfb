"""HTTP client that bounds the time and memory of each request and sends the key to one server."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import httpx2
import openai
from pydantic import SecretStr

MAX_REPLY_BYTES = 4 * 2**20
"""Largest body of a reply, both as sent and after decompression. A model list may have 1 MB."""
_CONNECT_SECONDS = 10.0
_RETRIES_TAKEN = "x-stainless-retry-count"
"""Header in which the `openai` package counts its retries; it is not sent to the server."""
_ABOUT_RETRIES = ("Retry-After", "Retry-After-Ms", "X-Should-Retry")
"""Headers of a reply that the `openai` package reads."""


class UnreachableError(openai.OpenAIError):
    """Failure to connect to the server, after retries."""


class UnreadableReplyError(openai.OpenAIError):
    """Reply that is too large or cannot be decompressed; it is not requested again."""


class BoundedClient(httpx2.AsyncClient):
    """HTTP client for the `openai` package that is safe to use with an untrusted server.

    * A request ends at the latest `deadline` seconds after it began.
    * A reply larger than `max_bytes` ends the request. `httpcore2` limits headers to 100 KiB.
    * Redirects are not followed, and `key` is sent only to the server at `base_url`.
    * The headers that the `openai` package sets are not sent: they contain the operating system,
      the Python version and the values of `OPENAI_ORG_ID` and `OPENAI_CUSTOM_HEADERS`.

    The `openai` package retries after the errors of `httpx2` that `send` raises, but not after
    `UnreadableReplyError`, nor after `UnreachableError`, which follows `connect_retries` retries.
    `settings` are further arguments of `httpx2.AsyncClient`.
    """

    def __init__(
        self,
        base_url: str,
        key: SecretStr | None,
        deadline: float,
        *,
        connect_retries: int = 0,
        max_bytes: int = MAX_REPLY_BYTES,
        **settings: Any,
    ) -> None:
        # At most half of the deadline, so that an unreachable host is reported as unreachable.
        connect = min(_CONNECT_SECONDS, deadline / 2)
        super().__init__(timeout=httpx2.Timeout(None, connect=connect), **settings)
        self._server = _origin(httpx2.URL(base_url))
        self._key = key
        self._deadline = deadline
        self.connect_retries = connect_retries
        self._max_bytes = max_bytes
        self.uncounted = 0
        """Number of requests that a server may have answered, and whose tokens nobody counted."""

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Return the complete reply, with the headers that tell when to retry."""
        self.uncounted += 1
        try:
            async with asyncio.timeout(self._deadline):
                sent = self._with_own_headers(request)
                reply = await super().send(sent, stream=True, follow_redirects=False)
                try:
                    content = self._decompressed(reply, await self._received(reply))
                finally:
                    await reply.aclose()
        except TimeoutError:
            what = f"no complete reply within {self._deadline:g} s"
            raise httpx2.ReadTimeout(what, request=request) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            self.uncounted -= 1
            if int(request.headers.get(_RETRIES_TAKEN, 0)) < self.connect_retries:
                raise
            raise UnreachableError(str(error) or type(error).__name__) from None
        if reply.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            self.uncounted -= 1  # the reply counts its tokens, or refuses before there are any
        headers = {name: reply.headers[name] for name in _ABOUT_RETRIES if name in reply.headers}
        return httpx2.Response(reply.status_code, headers=headers, content=content, request=request)

    def _with_own_headers(self, request: httpx2.Request) -> httpx2.Request:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "latte-openai",
        }
        if request.content:
            headers["Content-Type"] = "application/json"
        if self._key is not None and _origin(request.url) == self._server:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return httpx2.Request(
            request.method,
            request.url,
            headers=headers,
            content=request.content or None,
            extensions={"timeout": self.timeout.as_dict()},
        )

    async def _received(self, reply: httpx2.Response) -> bytes:
        """Return the body as it was sent."""
        received = bytearray()
        async with aclosing(reply.aiter_raw()) as pieces:
            async for piece in pieces:
                received += piece
                self._check_size(len(received))
                # One read may return thousands of tiny chunks: yield, so that the deadline fires.
                await asyncio.sleep(0)
        return bytes(received)

    def _decompressed(self, reply: httpx2.Response, received: bytes) -> bytes:
        encoding = reply.headers.get("Content-Encoding", "identity").lower()
        if encoding == "identity":
            return received
        if encoding != "gzip":
            raise UnreadableReplyError(f"the reply has the content encoding {encoding!r}")
        try:
            unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
            content = unpacker.decompress(received, self._max_bytes + 1)
        except zlib.error as error:
            raise UnreadableReplyError(f"the reply cannot be decompressed: {error}") from None
        self._check_size(len(content))
        return content

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise UnreadableReplyError(f"the reply is larger than {self._max_bytes:,} bytes")


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
