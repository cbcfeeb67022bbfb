"""Local chat completions server whose replies each test chooses."""

from __future__ import annotations

import hashlib
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from latte_author.testing.fixtures import described_images, make_context
from latte_openai.describer import OpenAIDescriber
from latte_openai.errors import RequestError
from latte_openai.options import OpenAIOptions

from latte.api import ChoiceRequest, DescribeRequest, LatteError


@dataclass(frozen=True)
class ChatRequest:
    """Request of a chat completion."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    time: int
    """Number of earlier requests with exactly this body."""

    @property
    def content(self) -> list[dict[str, Any]]:
        """The parts of the user's message."""
        return list(self.body["messages"][-1]["content"])

    @property
    def prompt(self) -> str:
        return str(self.content[-1]["text"])


@dataclass(frozen=True)
class Reply:
    """Reply of the server; `cut` closes the connection before its end."""

    body: object = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


Behaviour = Callable[[ChatRequest], Reply]
FIELDS = ("choices", "message", "content", "error", "code", "type", "usage", "data")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.sampled_from(FIELDS), below),
)
"""Any data with the fields of replies."""


def said(text: object, finish: str = "stop", **message: object) -> Reply:
    """A chat completion of 7 tokens."""
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return Reply({"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 7}})


def with_logprobs(text: str, tokens: Sequence[Mapping[str, Any]]) -> Reply:
    """A chat completion with log probabilities of these tokens."""
    reply = said(text)
    assert isinstance(reply.body, dict)
    reply.body["choices"][0]["logprobs"] = {"content": [*tokens]}
    return reply


def wrong(
    status: int, message: str = "no", headers: Mapping[str, str] | None = None, **error: str
) -> Reply:
    """An error as OpenAI sends it."""
    return Reply({"error": {"message": message, **error}}, status, headers or {})


def seen(request: ChatRequest) -> Reply:
    """Reply with a text that is a hash of the request."""
    digest = hashlib.sha256(json.dumps(request.body, sort_keys=True).encode()).hexdigest()
    return said(f"something like {digest[:12]}")


def echo(request: ChatRequest) -> Reply:
    return said(f"answer to {request.prompt}")


class ChatServer:
    """Server on loopback that records its requests and their highest concurrency."""

    def __init__(self, behaviour: Behaviour, models: Sequence[str] | None) -> None:
        self.behaviour = behaviour
        self.models = models
        self.asked: list[ChatRequest] = []
        self.peak = 0
        self.released = threading.Event()
        """Set when the server stops, which ends behaviours that wait for it."""
        self._now = 0
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def prompts(self) -> list[str]:
        """The prompts, in the order of their arrival."""
        return [request.prompt for request in self.asked]

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def opened(self, connection: socket.socket) -> None:
        self._connections.add(connection)

    def reply(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if path == "/v1/models" and self.models is not None:
            return Reply({"object": "list", "data": [{"id": name} for name in self.models]})
        if path != "/v1/chat/completions":
            return Reply("not here", 404)
        return self._answer(headers, json.loads(body))

    def _answer(self, headers: Mapping[str, str], body: dict[str, Any]) -> Reply:
        with self._lock:
            time = sum(request.body == body for request in self.asked)
            request = ChatRequest(body, headers, time)
            self.asked.append(request)
            self._now += 1
            self.peak = max(self.peak, self._now)
        try:
            return self.behaviour(request)
        finally:
            with self._lock:
                self._now -= 1


class _Server(ThreadingHTTPServer):
    """Server that ignores clients that disconnect during a request."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, server: ChatServer, *arguments: Any) -> None:
        self._chat = server
        server.opened(arguments[0])
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._send(self._chat.reply(self.path, dict(self.headers), b""))

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        self._send(self._chat.reply(self.path, dict(self.headers), body))

    def _send(self, reply: Reply) -> None:
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        with suppress(OSError):
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) + reply.cut))
            self.end_headers()
            self.wfile.write(data)
            if reply.cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def chat_server(
    behaviour: Behaviour = echo, models: Sequence[str] | None = ("llava",)
) -> Iterator[ChatServer]:
    """Run a server on loopback; with `models` None it lists no models."""
    server = ChatServer(behaviour, models)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def describer(folder: Path, url: str, **options: Any) -> Iterator[OpenAIDescriber]:
    """A describer that asks the server at `url`."""
    settings = {"model": "llava", "base_url": url, **options}
    lmm = OpenAIDescriber(OpenAIOptions(**settings), make_context(folder))
    try:
        yield lmm
    finally:
        lmm.close()


def questions(folder: Path, *prompts: str) -> list[DescribeRequest]:
    """One request about one image for each prompt."""
    image = described_images(folder / "asked", 1)[0]
    return [DescribeRequest((image,), prompt) for prompt in prompts]


def choice_requests(
    folder: Path, count: int = 2, none_allowed: bool = False
) -> list[ChoiceRequest]:
    """One question with two options about each of `count` images."""
    return [
        ChoiceRequest((image,), f"Which in {number}?", ("cat", "dog"), none_allowed)
        for number, image in enumerate(described_images(folder / "asked", count))
    ]


def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the `openai` package retry at once, unless the server sends `Retry-After`."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)


def failure(lmm: OpenAIDescriber, requests: Sequence[DescribeRequest]) -> LatteError | RequestError:
    """Return the error that `lmm` returns or raises for its only request."""
    try:
        (error,) = lmm.describe(requests)
    except LatteError as raised:
        return raised
    assert isinstance(error, RequestError), error
    return error
