"""Resumable downloads of a dataset's archives, verified by checksum.

Addresses and checksums come from the installed torchvision.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from latte.api import LatteError, Progress
from latte.components.datasets.published.facts import Facts

PART = ".part"
STALL_SECONDS = 60.0
"""Seconds within which `LEAST_BYTES` must arrive; also the timeout of connecting and reading."""
LEAST_BYTES = 1 << 16


class Watch(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens one HTTP or HTTPS address, and closes the connection if too few bytes arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.received = 0
        """Number of bytes received so far, without headers; the code that reads them updates it."""
        self.stalled = False
        """True if this object closed the connection because the download stalled."""
        self._socket: socket.socket | None = None
        self._done = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Close the connection from a background thread if it stalls inside the `with` block.

        Raises `_CutError` if fewer than `LEAST_BYTES` bytes arrived within `STALL_SECONDS`.
        """
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        except _CUT:
            if not self.stalled:
                raise
        finally:
            self._done.set()
            thread.join()
        if self.stalled:
            raise _CutError(
                f"fewer than {LEAST_BYTES:,} bytes arrived in {STALL_SECONDS:g} seconds"
            )

    def open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Send `request`; return the response when its headers have arrived.

        `http.client` limits headers to 100 lines of 64 KiB. Redirects to schemes other than HTTP
        and HTTPS are refused.
        """
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            self,
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            opener.add_handler(handler)
        response: http.client.HTTPResponse = opener.open(request, timeout=STALL_SECONDS)
        return response

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open an HTTP address."""
        return self._open(http.client.HTTPConnection, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open an HTTPS address."""
        return self._open(http.client.HTTPSConnection, req)

    def _open(
        self, kind: type[http.client.HTTPConnection], request: urllib.request.Request
    ) -> http.client.HTTPResponse:
        watch = self

        class Watched(kind):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                super().connect()
                watch._socket = self.sock  # a redirect replaces it by its own

        return self.do_open(Watched, request)

    def _watch(self) -> None:
        before = 0
        while not self._done.wait(STALL_SECONDS):
            if self.received - before < LEAST_BYTES:
                self.stalled = True
                if self._socket is not None:
                    with suppress(OSError):
                        # `SSLSocket.shutdown` would change the socket while another thread reads.
                        socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            before = self.received


ATTEMPTS = 5
"""A download fails after this many consecutive attempts with fewer than `LEAST_BYTES` new bytes."""

MAX_BYTES = 64 << 30
"""Largest file that is downloaded; the largest published archive has 37 GiB."""

_CHUNK = 1 << 20


class _CutError(ConnectionError):
    """Error for a download that ended before all bytes arrived; the download is tried again."""


_CUT = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


@dataclass(frozen=True)
class RemoteFile:
    """One file to download: address, file name and checksum."""

    url: str
    name: str
    md5: str | None
    """MD5 checksum as lower-case hex digits; None if torchvision gives none."""


def remote_files(facts: Facts) -> list[RemoteFile]:
    """Return the files that torchvision would download. Raises `LatteError` if there are none."""
    from torchvision import datasets

    found: list[RemoteFile] = []
    dataset = getattr(datasets, facts.torchvision, None)
    if dataset is not None:
        # torchvision then raises an error, because nothing was downloaded and unpacked.
        with (
            _recorded(dataset.__module__, found),
            TemporaryDirectory() as empty,
            suppress(Exception),
        ):
            dataset(root=empty, download=True)
    if not found:
        raise LatteError(
            f"torchvision {version('torchvision')} knows no download of {facts.title}",
            hint=f"Fetch it by hand: {facts.source}",
        )
    return found


@contextmanager
def _recorded(module_name: str, found: list[RemoteFile]) -> Iterator[None]:
    """Make a torchvision module append its downloads to `found` instead of starting them."""
    module = importlib.import_module(module_name)

    def record(
        url: str, *_: Any, filename: str | Path | None = None, md5: str | None = None, **__: Any
    ) -> None:
        name = PurePosixPath(str(filename or urlsplit(url).path)).name
        found.append(RemoteFile(url, name, md5))

    names = ("download_and_extract_archive", "download_url")
    before = {name: vars(module)[name] for name in names if name in vars(module)}
    try:
        vars(module).update(dict.fromkeys(before, record))
        yield
    finally:
        vars(module).update(before)


def download(
    file: RemoteFile, folder: Path, progress: Progress, wait: Callable[[float], None] = time.sleep
) -> Path:
    """Download `file` into `folder`, verify its checksum, and return its path.

    Bytes are written to `NAME.part`, which a later call completes. A file that exists is only
    verified. Raises `LatteError` if the server, the disk or the checksum fails.
    """
    target = folder / file.name
    if target.is_file():
        _verify(target, file)
        return target
    if not file.url.startswith(("http://", "https://")):
        raise LatteError(f"{file.url} is no web address", where=file.name)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{file.name}{PART}"
    try:
        _fetch_all(file, part, progress, wait)
    except OSError as error:
        raise LatteError(f"cannot be written: {error.strerror}", where=str(part)) from error
    _verify(part, file)
    part.rename(target)
    return target


def _fetch_all(
    file: RemoteFile, part: Path, progress: Progress, wait: Callable[[float], None]
) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            _fetch(file, part, progress)
            return
        except _CUT as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise _given_up(file, f"{error.code} {error.reason}") from error
            failures = 0 if _size(part) - before >= LEAST_BYTES else failures + 1
            if failures >= ATTEMPTS:
                raise _given_up(file, str(getattr(error, "reason", error))) from error
            progress.say(f"{file.name}: {error}; trying again")
            wait(min(2.0**failures, 30.0))


def _fetch(file: RemoteFile, part: Path, progress: Progress) -> None:
    """Request the missing bytes once. Raises one of `_CUT` if the request fails or is cut off."""
    have, watch = _size(part), Watch()
    request = urllib.request.Request(file.url, headers={"User-Agent": "latte"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with watch.watching():
        try:
            response = watch.open(request)
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
                raise
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            part.unlink()
            raise _CutError("what was there is longer than the file: starting again") from error
        with response:
            start, total = _range(response, have)
            _append(response, part, start, total, progress, file, watch)


def _range(response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """Return the file offset of the response's first byte, and the file's length if known."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.match(
            r"bytes (\d{1,18})-\d+/(\d{1,18}|\*)$", response.headers.get("Content-Range", "")
        )
        if found and int(found[1]) == have:
            return have, None if found[2] == "*" else int(found[2])
        raise _CutError("the server sent another part than the one asked for")
    return 0, response.length


def _append(
    response: http.client.HTTPResponse,
    part: Path,
    start: int,
    total: int | None,
    progress: Progress,
    file: RemoteFile,
    watch: Watch,
) -> None:
    done, name = start, file.name
    _check_size(file, total or start)
    with (
        part.open("r+b" if start else "wb") as out,
        progress.task(name, _mebibytes(total or start), "MiB", _mebibytes(start)) as task,
    ):
        out.seek(start)
        while chunk := response.read1(_CHUNK):
            _check_size(file, done + len(chunk))
            out.write(chunk)
            watch.received += len(chunk)
            task.advance(_mebibytes(done + len(chunk)) - _mebibytes(done))
            done += len(chunk)
    if total is not None and done < total:
        raise _CutError(f"cut after {done:,} of {total:,} bytes")


def _check_size(file: RemoteFile, size: int) -> None:
    if size > MAX_BYTES:
        raise LatteError(
            f"has more than {MAX_BYTES:,} bytes, and is not downloaded",
            where=file.url,
            hint=f"If that is right, put a copy of {file.name} into the dataset's folder.",
        )


def _verify(path: Path, file: RemoteFile) -> None:
    """Raise `LatteError` for a wrong checksum; a file that was just downloaded is deleted."""
    if file.md5 is None:
        return
    with path.open("rb") as content:
        found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found == file.md5:
        return
    if path.name.endswith(PART):
        path.unlink()
    raise LatteError(
        f"has the checksum {found}, not {file.md5}",
        where=str(path),
        hint=f"{'It was deleted: run' if not path.exists() else 'Delete it and run'} the command "
        f"again. If that does not help, the file at {file.url} is another one now.",
    )


def _given_up(file: RemoteFile, reason: str) -> LatteError:
    return LatteError(
        f"cannot be downloaded: {reason}",
        where=file.url,
        hint=f"Run the command again: it goes on where it stopped. Or put a copy of {file.name} "
        "into the dataset's folder and run it.",
    )


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _mebibytes(count: int) -> int:
    return -(-count // _CHUNK)
