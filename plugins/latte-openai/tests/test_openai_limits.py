"""Limits of time, memory and headers against servers that misbehave on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latte_openai.bounded import BoundedClient, UnreadableReplyError
from latte_openai.client import ChatClient
from latte_openai.errors import RequestError
from latte_openai.options import OpenAIOptions
from openai_double import JSON, Reply, chat_server, describer, failure, questions, said
from pydantic import SecretStr

from latte.api import LatteError

pytestmark = pytest.mark.thorough

OK = b"HTTP/1.1 200 OK\r\n"
DEADLINE = 0.5
Pieces = Callable[[], Iterable[bytes]]
"""Function that yields the pieces of bytes that a server sends."""


@contextmanager
def raw_server(pieces: Pieces) -> Iterator[str]:
    """Accept connections, read a request's first bytes and send `pieces`."""
    stopped = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 20)
            for piece in pieces():
                if stopped.is_set():
                    return
                connection.sendall(piece)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        stopped.set()


def slowly(head: bytes, piece: bytes, seconds: float = 0.1) -> Pieces:
    """`head`, then one `piece` per `seconds` without end; a client waits for each of them."""

    def pieces() -> Iterator[bytes]:
        yield head
        while True:
            time.sleep(seconds)
            yield piece

    return pieces


def without_end(head: bytes, piece: bytes) -> Pieces:
    return lambda: chain([head], repeat(piece))


async def stream(body: bytes) -> AsyncIterator[bytes]:
    yield body


def bomb(megabytes: int) -> bytes:
    """Return a reply with a gzip body of so many MB of spaces."""
    packer = zlib.compressobj(1, wbits=31)
    spaces = b" " * 2**20
    body = b"".join(packer.compress(spaces) for _ in range(megabytes)) + packer.flush()
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
AFTER_GZIP = OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}")
BOMB = bomb(20)
SERVERS: dict[str, tuple[Pieces, str]] = {
    "one byte at a time": (slowly(OK + b"\r\n", b" "), "no complete reply within 0.5 s"),
    "one chunk at a time": (slowly(CHUNKED, b"1\r\n \r\n"), "no complete reply within"),
    "one header at a time": (slowly(OK, b"X-A: b\r\n"), "no complete reply within"),
    "one trailer at a time": (
        slowly(CHUNKED + b"0\r\n", b"X-A: b\r\n"),
        "no complete reply within",
    ),
    "100 Continue at a time": (slowly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "no complete reply"),
    "endless 100 Continue": (
        without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        "no complete reply",
    ),
    "endless headers": (without_end(OK, b"X-A: " + b"b" * 1000 + b"\r\n"), "connection was cut"),
    "endless body": (without_end(OK + b"\r\n", b" " * 2**16), "larger than 4,194,304 bytes"),
    "endless small chunks": (without_end(CHUNKED, b"1\r\n \r\n" * 10_000), "no complete reply"),
    "endless bytes after gzip": (without_end(AFTER_GZIP, b" " * 2**16), "larger than"),
    "gzip bomb of 20 MB": (lambda: [BOMB], "larger than"),
}


@pytest.mark.parametrize(("pieces", "message"), SERVERS.values(), ids=SERVERS.keys())
def test_request_to_a_misbehaving_server_ends_by_its_deadline(
    tmp_path: Path, pieces: Pieces, message: str
) -> None:
    deadline = DEADLINE if message.startswith("no complete") else 5
    with (
        raw_server(pieces) as url,
        describer(tmp_path, url, timeout=deadline, retries=0) as lmm,
    ):
        [request] = questions(tmp_path, "a")
        _ = lmm._client
        began = time.monotonic()
        assert message in str(failure(lmm, [request]))
        assert time.monotonic() - began < deadline + 20


def test_request_that_is_never_read_ends_by_its_deadline() -> None:
    """20 MB fit into no buffer of a socket."""

    async def post(url: str) -> None:
        async with BoundedClient(url, None, DEADLINE) as client:
            await client.post(url, content=b" " * 20_000_000)

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(httpx2.ReadTimeout),
    ):
        asyncio.run(post(f"http://127.0.0.1:{listener.getsockname()[1]}/v1"))


@pytest.mark.parametrize("is_packed", [False, True])
def test_reply_up_to_the_size_limit_is_read(is_packed: bool) -> None:
    async def get(url: str, limit: int) -> bytes:
        async with BoundedClient(url, None, 10, max_bytes=limit) as client:
            return (await client.get(url)).content

    packed = gzip.compress(b"x" * 70_000)
    gzipped = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    reply = OK + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000 if not is_packed else gzipped
    with raw_server(lambda: [reply]) as url:
        assert asyncio.run(get(url, 70_000)) == b"x" * 70_000
        with pytest.raises(UnreadableReplyError, match="larger than 69,999 bytes"):
            asyncio.run(get(url, 69_999))


MEASURE = """
import asyncio, re, sys, time
from pathlib import Path
from latte_openai.client import ChatClient
from latte_openai.errors import RequestError
from latte_openai.options import OpenAIOptions

def peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024

async def ask():
    client = ChatClient(OpenAIOptions(base_url=sys.argv[1], timeout=2, retries=0))
    before, began = peak(), time.monotonic()
    try:
        await client.complete({"model": "m", "messages": [{"role": "user", "content": "?"}]})
    except RequestError as error:
        print(error)
    print(time.monotonic() - began, peak() - before)

asyncio.run(ask())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read in /proc")
@pytest.mark.parametrize("name", ["gzip bomb of 700 MB", *SERVERS])
def test_memory_of_a_request_is_bounded(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Peak memory of a process that sends one request, above its memory before the request."""
    reply = bomb(700) if name not in SERVERS else b""
    pieces = SERVERS[name][0] if name in SERVERS else lambda: [reply]
    with raw_server(pieces) as url:
        ended = subprocess.run(
            [sys.executable, "-c", MEASURE, url], capture_output=True, text=True, check=True
        )
    message, numbers = ended.stdout.splitlines()
    seconds, megabytes = map(float, numbers.split())
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: {seconds:.2f} s, {megabytes:.0f} MB, {message}\n")
    assert re.search("no complete reply|connection was cut|larger than", message)
    assert seconds < 2 + 1
    assert megabytes < 200


def test_key_is_sent_to_its_server_alone() -> None:
    sent: list[httpx2.Request] = []

    def record(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        moved = {"Location": "https://elsewhere.example/v1"}
        return httpx2.Response(307, headers=moved, content=stream(b""))

    async def get() -> None:
        async with BoundedClient(
            "https://one.example/v1", SecretStr("k"), 9, transport=httpx2.MockTransport(record)
        ) as client:
            for url in (
                "https://one.example/v1/models",
                "http://one.example/v1/models",
                "https://one.example:444/v1/models",
                "https://two.example/v1/models",
            ):
                reply = await client.get(url, follow_redirects=True)
                assert reply.status_code == 307

    asyncio.run(get())
    assert [request.headers.get("Authorization") for request in sent] == ["Bearer k", *[None] * 3]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_another_server_sends_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-0123456789")
    with chat_server() as other_server:
        moved = Reply(status=status, headers={"Location": f"{other_server.url}/chat/completions"})
        with (
            chat_server(lambda _: moved) as server,
            describer(tmp_path, server.url) as lmm,
        ):
            assert f"status {status}" in str(failure(lmm, questions(tmp_path, "a")))
        assert len(server.asked) == 1
        assert other_server.asked == []


def test_only_own_headers_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package would send the operating system and what these variables hold."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "admin")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: 1\nAuthorization: Bearer other")
    cookie = said("a fox")
    cookie = Reply(cookie.body, headers={"Set-Cookie": "a=b"})
    with chat_server(lambda _: cookie) as server, describer(tmp_path, server.url) as lmm:
        for prompt in "ab":
            lmm.describe(questions(tmp_path, prompt))
    for request in server.asked:
        names = {"accept", "accept-encoding", "content-length", "content-type", "host"}
        assert {name.lower() for name in request.headers} == names | {"user-agent"}


@pytest.mark.parametrize("charset", ["rot13", "zlib_codec", "idna", "utf-16", "no-such", "\xff"])
def test_reply_is_read_as_utf_8_whatever_its_charset(tmp_path: Path, charset: str) -> None:
    text = json.dumps(said("naïve").body, ensure_ascii=False).encode()
    reply = Reply(text, headers={"Content-Type": f"application/json; charset={charset}"})
    with chat_server(lambda _: reply) as server, describer(tmp_path, server.url) as lmm:
        assert lmm.describe(questions(tmp_path, "a")) == ["naïve"]


def test_no_reply_of_a_server_crashes_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """All errors of the `openai` package become ours."""
    replies: list[httpx2.Response] = []
    transport = httpx2.MockTransport(lambda _: replies.pop())
    monkeypatch.setattr(
        "latte_openai.client.BoundedClient", partial(BoundedClient, transport=transport)
    )
    client = ChatClient(OpenAIOptions(model="llava", retries=0))
    messages: list[Any] = [{"role": "user", "content": "?"}]

    @settings(max_examples=50, deadline=None)
    @given(st.integers(200, 599), JSON.map(json.dumps).map(str.encode) | st.binary())
    def ask(status: int, body: bytes) -> None:
        replies[:] = [httpx2.Response(status, content=stream(body)) for _ in range(2)]
        with suppress(RequestError, LatteError):
            asyncio.run(client.complete({"model": "llava", "messages": messages}))

    ask()
