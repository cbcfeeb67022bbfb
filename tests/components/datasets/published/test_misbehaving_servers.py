"""Downloads from servers that misbehave on real sockets end in bounded time and memory."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from pathlib import Path

import pytest

from latte.components.datasets.published import download as module
from latte.components.datasets.published.download import RemoteFile, download
from latte.interfaces import LatteError
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough

STALL = 0.5
ATTEMPTS = 2
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
Pieces = Callable[[], Iterable[bytes]]


@contextmanager
def raw_server(pieces: Pieces) -> Iterator[str]:
    stopped = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
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
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/data.zip"
        stopped.set()


def slowly(first: bytes, piece: bytes) -> Pieces:
    def pieces() -> Iterator[bytes]:
        yield first
        while True:
            time.sleep(0.05)
            yield piece

    return pieces


def without_end(first: bytes, piece: bytes) -> Pieces:
    return lambda: chain([first], repeat(piece))


def once(reply: bytes) -> Pieces:
    return lambda: [reply]


STALLED = "fewer than 65,536 bytes arrived in 0.5 seconds"
TOO_LARGE = "has more than 4,000,000 bytes"
SERVERS: dict[str, tuple[Pieces, str]] = {
    "nothing": (slowly(b"", b""), "timed out|fewer than"),
    "one byte at a time": (slowly(OK + b"\r\n", b" "), STALLED),
    "one byte at a time of a known length": (
        slowly(OK + b"Content-Length: 1000\r\n\r\n", b" "),
        STALLED,
    ),
    "one chunk at a time": (slowly(CHUNKED, b"1\r\n \r\n"), STALLED),
    "one digit of a chunk size at a time": (slowly(CHUNKED, b"0"), STALLED),
    "one header at a time": (slowly(OK, b"X-A: b\r\n"), STALLED),
    "one byte of a header at a time": (slowly(OK, b"X"), STALLED),
    "100 Continue at a time": (slowly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), STALLED),
    "endless 100 Continue": (
        without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        STALLED,
    ),
    "endless headers": (without_end(OK, b"X-A: " + b"b" * 1000 + b"\r\n"), "more than 100 headers"),
    "an endless header": (without_end(OK, b"X" * 1000), "got more than 65536 bytes"),
    "an endless body": (without_end(OK + b"\r\n", b" " * 2**16), TOO_LARGE),
    "endless chunks": (without_end(CHUNKED, b"10000\r\n" + b" " * 2**16 + b"\r\n"), TOO_LARGE),
    "a huge length": (once(OK + b"Content-Length: 999999999999\r\n\r\nx"), TOO_LARGE),
    "a huge chunk": (once(CHUNKED + b"fffffffffffffffff\r\n" + b" " * 5_000_000), TOO_LARGE),
    "another scheme": (
        once(b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/x\r\n\r\n"),
        "unknown url type: ftp",
    ),
}


@pytest.mark.parametrize(("pieces", "message"), SERVERS.values(), ids=SERVERS.keys())
def test_download_from_a_misbehaving_server_ends(
    tmp_path: Path, pieces: Pieces, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "STALL_SECONDS", STALL)
    monkeypatch.setattr(module, "MAX_BYTES", 4_000_000)
    monkeypatch.setattr(module, "ATTEMPTS", ATTEMPTS)
    tracemalloc.start()
    began = time.monotonic()
    with raw_server(pieces) as url, pytest.raises(LatteError, match=message):
        download(
            RemoteFile(url, "data.zip", None), tmp_path, RecordedProgress(), wait=lambda _: None
        )
    assert time.monotonic() - began < 2 * ATTEMPTS * STALL + 1
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4_000_000


def test_wrong_length_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with raw_server(once(OK + b"Content-Length: many\r\n\r\nabc")) as url:
        file = RemoteFile(url, "data.zip", None)
        assert download(file, tmp_path, RecordedProgress()).read_bytes() == b"abc"
