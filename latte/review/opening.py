"""Address of the review page, and the file through which a browser opens it."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import escape
from ipaddress import ip_address
from pathlib import Path

from latte.interfaces import LatteError
from latte.io.system import lock

_BEGINNING = '<!doctype html>\n<meta charset="utf-8">\n<title>Review</title>\n'
_HTTP_PORT = 80
"""The port that browsers leave out of addresses and of the Host header."""


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on one address of this machine.

    Raises `LatteError` for an address that stands for all addresses of the machine, such as
    0.0.0.0 and its short form 0, and if nothing can listen on `host` and `port`.
    """
    try:
        if ip_address(socket.gethostbyname(host)).is_unspecified:
            what = f"{host} stands for all addresses of this machine, and no browser can open it"
            hint = (
                "for this machine only, leave --host out; for other machines, give this machine's "
                "address in the network, such as --host 192.168.1.20"
            )
            raise LatteError(what, where="--host", hint=hint)
        return socket.create_server((host, port))
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        what = f"cannot listen on {host}:{port}: {reason}"
        hint = "check --host; leave --port out, which chooses a free port"
        raise LatteError(what, where="--host, --port", hint=hint) from error


def addresses(host: str, bound: tuple[str, int]) -> tuple[str, ...]:
    """Return the values of the Host header for a server, the value for `host` first.

    `bound` is the numeric address and the port of the server's socket.
    """
    number, port = bound
    names = [host.lower(), number, *(["localhost"] if number == "127.0.0.1" else [])]
    end = "" if port == _HTTP_PORT else f":{port}"
    return tuple(dict.fromkeys(f"{name}{end}" for name in names))


@contextmanager
def redirecting_file(folder: Path, url: str) -> Iterator[Path]:
    """Write a page that leads a browser to `url`, and remove it at the end.

    Only the user can read the page. A browser gets its path on the command line, which all users
    of the machine can read; so the secret token in `url` stays out of it.
    """
    try:
        descriptor, name = tempfile.mkstemp(suffix=".html", prefix="review-", dir=folder)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise LatteError(
            what, where=str(folder), hint="leave the browser out: --no-open"
        ) from error
    path = Path(name)
    try:
        address = escape(url, quote=True)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            lock(file, wait=True)  # until this process ends
            file.write(
                f'{_BEGINNING}<meta name="referrer" content="no-referrer">\n'
                f'<meta http-equiv="refresh" content="0; url={address}">\n'
                f'<a href="{address}">Open the review</a>\n'
            )
            file.flush()
            yield path
    finally:
        path.unlink(missing_ok=True)


def remove_files_of_dead_servers(folder: Path) -> None:
    """Remove the pages of `redirecting_file` that killed processes left in `folder`.

    Each page has a secret token. A page whose server runs is locked, and stays.
    """
    for path in folder.glob("review-????????.html"):
        with suppress(OSError):
            with open(path, "rb", opener=_without_waiting) as file:
                is_dead = lock(file, wait=False)
                is_page = is_dead and file.read(len(_BEGINNING)) == _BEGINNING.encode()
            if is_page:
                path.unlink()


def _without_waiting(path: str, flags: int) -> int:
    """Open a file for `open(opener=...)`; fail for a link, and do not wait for a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
