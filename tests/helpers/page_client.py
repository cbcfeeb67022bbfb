"""Client of a served review that sends the requests which its page sends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from tests.helpers.reviews import TOKEN


class Page:
    """Sends requests to one served review, as its page does."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc

    def raw(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = HTTPConnection(self.host, timeout=20)
        connection.request(method, f"/{TOKEN}/{path}", body)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def get(self, path: str) -> Any:
        status, reply = self.raw("GET", path)
        assert status == 200, reply
        return json.loads(reply)

    def post(self, path: str, /, **body: Any) -> tuple[int, Any]:
        status, reply = self.raw("POST", path, json.dumps(body).encode())
        return status, json.loads(reply)

    def question(self, view: str = "groups", **query: int) -> Any:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return self.get(f"question?view={view}{more}")["question"]

    def answer(self, question: Any, label: int | None, **changes: Any) -> tuple[int, Any]:
        """Give all photos of a question one class, or say that none fits."""
        photos = [photo["index"] for photo in question["photos"]]
        kind = {"kind": "none"} if label is None else {"kind": "class", "class": label}
        marks = [{"photo": photo, **kind} for photo in photos]
        body = {"question": question["id"], "view": question["view"], "marks": marks}
        return self.post("answer", **{**body, "seen": photos, **changes})

    def state_when(self, is_true: Callable[[Any], bool]) -> Any:
        """Return the first state of which `is_true` is true; wait for it."""
        end = time.monotonic() + 20
        while not is_true(state := self.get("state")):
            assert time.monotonic() < end, state
            time.sleep(0.02)
        return state

    def events(self) -> Iterator[tuple[str, Any]]:
        """Yield the names and the data of events."""
        connection = HTTPConnection(self.host, timeout=20)
        connection.request("GET", f"/{TOKEN}/events")
        reply = connection.getresponse()
        assert reply.headers["content-type"].startswith("text/event-stream")
        try:
            yield from self._read(reply)
        finally:
            connection.close()
            reply.close()

    def _read(self, reply: HTTPResponse) -> Iterator[tuple[str, Any]]:
        name = ""
        while line := reply.readline().decode():
            if line.startswith("event: "):
                name = line.removeprefix("event: ").strip()
            if line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))
