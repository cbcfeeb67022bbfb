"""The server ends requests that do not become complete."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from latte.review import serving
from tests.helpers.reviews import TOKEN, made_up_review, served

HALF_SENT = (
    "",
    f"GET /{TOKEN}/ HT",
    f"GET /{TOKEN}/ HTTP/1.1\r\nHost: HOST\r\n",
    f'POST /{TOKEN}/answer HTTP/1.1\r\nHost: HOST\r\nContent-Length: 50\r\n\r\n{{"task"',
    f"POST /{TOKEN}/answer HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
)


def test_half_sent_requests_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert serving.REQUEST_SECONDS == 5.0
    monkeypatch.setattr(serving, "REQUEST_SECONDS", 0.5)
    with served(made_up_review(tmp_path / "run", ("cat", "dog"))) as url:
        host = urlsplit(url).netloc
        address = (host.split(":")[0], int(host.split(":")[1]))
        connections = [socket.create_connection(address, timeout=20) for _ in HALF_SENT]
        trickle = socket.create_connection(address, timeout=20)
        for connection, data in zip(connections, HALF_SENT, strict=True):
            connection.sendall(data.replace("HOST", host).encode())
        request = HALF_SENT[2].replace("HOST", host).encode() + b"\r\n"
        for number in range(4):  # parts of a request do not prolong the time
            trickle.sendall(request[number : number + 1])
            time.sleep(0.1)
        assert [connection.recv(100) for connection in [*connections, trickle]] == [b""] * 6
        with socket.create_connection(address, timeout=20) as patient:
            patient.sendall(request[:9])
            time.sleep(0.1)
            patient.sendall(request[9:])
            assert patient.recv(100).startswith(b"HTTP/1.1 200")
    assert capfd.readouterr().err == ""
