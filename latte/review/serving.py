"""Server of the review page, which waits a few seconds at most for the rest of a request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 5.0
"""Longest time from the beginning of a request, or of a connection, to the request's end."""


class _Protocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose request is not complete in time.

    uvicorn itself only closes connections that are idle after a reply.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        is_incomplete = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if not is_incomplete:
            self._stop()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """Server that ends streams of events before it waits for its replies to end."""

    def __init__(self, config: uvicorn.Config, on_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_end = on_end

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to listen, and end all connections."""
        self._on_end()
        await super().shutdown(sockets)


def server_of(app: ASGIApp, on_end: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """Return a server of the application; its `run` needs a listening socket.

    `on_end` is called when the server begins to stop; it ends replies that have no end.
    """
    config = uvicorn.Config(app, http=_Protocol, log_level="error", access_log=False)
    return _Server(config, on_end)
