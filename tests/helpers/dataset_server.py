"""A loopback HTTP server with byte ranges, that can cut connections and misbehave otherwise."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Serves `files` by path; `requests` holds the Range header of each request."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.requests: list[str | None] = []
        self.cuts: list[int] = []
        """Bytes that each of the next answers sends before the connection is cut."""
        self.stall = threading.Event()
        """Once it is set, cut answers keep their connection open until the server ends."""
        self.ended = threading.Event()
        self.failures: list[int] = []
        """Status of each of the next answers."""
        self.ranges = True

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        data = self.server.files.get(self.path.lstrip("/"))
        if self.server.failures:
            self.send_error(self.server.failures.pop(0))
        elif data is None:
            self.send_error(404)
        elif wanted and self.server.ranges:
            self._send_from(data, int(wanted.removeprefix("bytes=").rstrip("-")))
        else:
            self._send(200, data, {})

    def _send_from(self, data: bytes, start: int) -> None:
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        named = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206, data[start:], {"Content-Range": named})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if not self.server.cuts:
            self.wfile.write(data)
            return
        self.wfile.write(data[: self.server.cuts.pop(0)])
        self.wfile.flush()
        if self.server.stall.is_set():
            self.server.ended.wait()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    with Server(files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
