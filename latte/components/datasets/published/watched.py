"""HTTP requests that are ended if the server sends nothing, or too few bytes, for a minute."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

STALL_SECONDS = 60.0
"""Seconds in which `LEAST_BYTES` must arrive; also the limit of connecting and of each read."""
LEAST_BYTES = 1 << 16


class Watch:
    """Watcher of one request, which closes the connection if too few bytes arrive."""

    def __init__(self) -> None:
        self.received = 0
        """Bytes of the body so far, which the reader counts."""
        self.stalled = False
        """True if the connection was closed because of the limit."""
        self._socket: socket.socket | None = None
        self._done = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch in a background thread until the block ends."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Send `request`, and return the response after its headers.

        `http.client` limits headers to 100 lines of 64 KiB. Redirects lead to HTTP only.
        """
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            _Http(self.connect),
            _Https(self.connect),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            opener.add_handler(handler)
        response: http.client.HTTPResponse = opener.open(request, timeout=STALL_SECONDS)
        return response

    def connect(self, connection: socket.socket) -> None:
        """Watch this connection; a redirect opens another one."""
        self._socket = connection

    def _watch(self) -> None:
        before = 0
        while not self._done.wait(STALL_SECONDS):
            if self.received - before < LEAST_BYTES:
                self.stalled = True
                if self._socket is not None:
                    with suppress(OSError):
                        # An SSL socket's own `shutdown` would change it while another thread reads.
                        socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            before = self.received


def _watched(kind: type[http.client.HTTPConnection], connect: Callable[[Any], None]) -> Any:
    """Return the class `kind` with a call of `connect` for each connected socket."""

    class Watched(kind):  # type: ignore[misc, valid-type]
        def connect(self) -> None:
            super().connect()
            connect(self.sock)

    return Watched


class _Http(urllib.request.HTTPHandler):
    def __init__(self, connect: Callable[[Any], None]) -> None:
        super().__init__()
        self._connection = _watched(http.client.HTTPConnection, connect)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, connect: Callable[[Any], None]) -> None:
        super().__init__()
        self._connection = _watched(http.client.HTTPSConnection, connect)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)
