"""Server-sent events of the review page: news that the server sends to all open pages."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

LEFT_SECONDS = 60.0
"""Seconds after which a review counts as left, when its last page has closed."""
_KEEP_ALIVE = 15.0
"""Seconds after which a silent connection gets a comment, so that a dead one is noticed."""
_HEADERS = {"x-accel-buffering": "no"}

News = tuple[str, Mapping[str, Any]]
"""Name of an event, and its data."""


class Events:
    """The open connections of pages; any thread can send news to all of them."""

    def __init__(self, on_last_closed: Callable[[], None]) -> None:
        """Call `on_last_closed` in a thread, a minute after the last connection has closed."""
        self._on_last_closed = on_last_closed
        self._queues: dict[asyncio.Queue[News | None], asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def send(self, name: str, data: Mapping[str, Any]) -> None:
        """Send an event to all open pages."""
        self._put((name, data))

    def close(self) -> None:
        """End all connections, so that the server can stop."""
        with self._lock:
            self._stop_timer()
        self._put(None)

    def stream(self, request: Request, first: News) -> StreamingResponse:
        """Return a reply that sends `first`, then all news, until the page closes it."""
        queue = asyncio.Queue[News | None]()
        with self._lock:
            self._stop_timer()
            self._queues[queue] = asyncio.get_running_loop()
        queue.put_nowait(first)
        return StreamingResponse(
            self._lines(request, queue), media_type="text/event-stream", headers=_HEADERS
        )

    async def _lines(
        self, request: Request, queue: asyncio.Queue[News | None]
    ) -> AsyncIterator[str]:
        closed = asyncio.ensure_future(_closed(request))
        try:
            while (news := await self._next(queue, closed)) is not None:
                name, data = news
                yield f"event: {name}\ndata: {json.dumps(data)}\n\n" if name else ":\n\n"
        finally:
            closed.cancel()
            self._remove(queue)

    async def _next(
        self, queue: asyncio.Queue[News | None], closed: asyncio.Future[None]
    ) -> News | None:
        """Return the next news; an event without a name after a silence; None at the end."""
        getting = asyncio.ensure_future(queue.get())
        waited: set[asyncio.Future[Any]] = {getting, closed}
        await asyncio.wait(waited, timeout=_KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
        if getting.done():
            return getting.result()
        getting.cancel()
        return None if closed.done() else ("", {})

    def _put(self, news: News | None) -> None:
        with self._lock:
            for queue, loop in self._queues.items():
                with suppress(RuntimeError):  # the server has stopped
                    loop.call_soon_threadsafe(queue.put_nowait, news)

    def _remove(self, queue: asyncio.Queue[News | None]) -> None:
        with self._lock:
            self._queues.pop(queue, None)
            self._stop_timer()
            if not self._queues:
                self._timer = threading.Timer(LEFT_SECONDS, self._on_last_closed)
                self._timer.daemon = True
                self._timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


async def _closed(request: Request) -> None:
    """Return when the page has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
