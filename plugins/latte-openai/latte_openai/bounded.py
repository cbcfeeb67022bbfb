"""HTTP client that bounds the time and memory of each request and sends the key to one server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx2
from pydantic import SecretStr

MAX_REPLY_BYTES = 4 * 2**20
"""Largest body of a reply, both as sent and after decompression. A model list may have 1 MB."""
_CONNECT_SECONDS = 10.0
_CONTENT_TYPES = re.compile(r"application/([\w.-]+\+)?json|text/(plain|json)")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")


class BoundedClient(httpx2.AsyncClient):
    """HTTP client for the `openai` package that is safe to use with an untrusted server.

    * A request ends at the latest `deadline` seconds after it began.
    * A reply larger than `max_bytes` ends the request. `httpcore2` limits headers to 100 KiB.
    * The content type of a successful reply, if there is one, is JSON or text (UTF-8 or ASCII).
    * Redirects are not followed, and `key` is sent only to the server at `base_url`.
    * The headers that the `openai` package sets are not sent: they contain the operating system,
      the Python version and the values of `OPENAI_ORG_ID` and `OPENAI_CUSTOM_HEADERS`.

    `settings` are further arguments of `httpx2.AsyncClient`. `send` raises `httpx2.ReadTimeout`
    past the deadline, and `httpx2.DecodingError` for a forbidden size, type or charset.
    """

    def __init__(
        self,
        base_url: str,
        key: SecretStr | None,
        deadline: float,
        max_bytes: int = MAX_REPLY_BYTES,
        **settings: Any,
    ) -> None:
        # At most half of the deadline, so that an unreachable host is reported as unreachable.
        connect = min(_CONNECT_SECONDS, deadline / 2)
        super().__init__(timeout=httpx2.Timeout(None, connect=connect), **settings)
        self._server = _origin(httpx2.URL(base_url))
        self._key = key
        self._deadline = deadline
        self._max_bytes = max_bytes

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Return the complete reply, decoded as UTF-8, with `Retry-After` as its only header."""
        try:
            async with asyncio.timeout(self._deadline):
                sent = self._with_own_headers(request)
                reply = await super().send(sent, stream=True, follow_redirects=False)
                try:
                    if reply.is_success:
                        _check_type(reply.headers.get("Content-Type", ""))
                    content = await self._read(reply)
                finally:
                    await reply.aclose()
        except TimeoutError:
            what = f"no complete reply within {self._deadline:g} s"
            raise httpx2.ReadTimeout(what, request=request) from None
        wait = reply.headers.get("Retry-After")
        headers = {} if wait is None else {"Retry-After": wait}
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

    async def _read(self, reply: httpx2.Response) -> bytes:
        """Return the decompressed body; `_LimitedStream` limits the compressed bytes."""
        assert isinstance(reply.stream, httpx2.AsyncByteStream)
        reply.stream = _LimitedStream(reply.stream, self._max_bytes)
        content = bytearray()
        async with aclosing(reply.aiter_bytes()) as pieces:
            async for piece in pieces:
                content += piece
                _check_size(len(content), self._max_bytes)
        return bytes(content)


class _LimitedStream(httpx2.AsyncByteStream):
    """Stream that raises an error if it has more than `limit` bytes.

    A limit on the decompressed bytes is not enough: a decompressor may read many bytes without
    output.
    """

    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            _check_size(size, self._limit)
            # One read may return thousands of tiny chunks: yield, so that the deadline can fire.
            await asyncio.sleep(0)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise httpx2.DecodingError(f"the reply is larger than {limit:,} bytes")


def _check_type(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind and not _CONTENT_TYPES.fullmatch(kind):
        raise httpx2.DecodingError(f"the reply has the content type {kind!r}, not application/json")
    charset = _CHARSET.search(content_type)
    if charset and charset[1].lower() not in _CHARSETS:
        raise httpx2.DecodingError(f"the reply has the charset {charset[1]!r}, not utf-8")


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
