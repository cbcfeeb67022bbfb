"""Middleware of the review page: who may ask, how much, and what a browser may do with a reply."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from latte.interfaces import LatteError
from latte.io.redaction import one_line

LARGEST_BODY = 10_000
"""Largest size of a request's body that is about no photo, in bytes."""
_HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self' data:; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guarded:
    """Middleware that checks host, origin and token, and removes the token from the path."""

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str]) -> None:
        self._app = app
        self._prefix = f"/{token}/"
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an allowed request to the application; answer any other request with 403 or 404."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        origin = request.headers.get("origin")
        host = request.headers.get("host", "")
        path = str(scope["path"])
        if host not in self._hosts or origin not in (None, f"http://{host}"):
            await refused(403, "not allowed")(scope, receive, send)
        elif not secrets.compare_digest(path[: len(self._prefix)].encode(), self._prefix.encode()):
            await refused(404, "not found")(scope, receive, send)
        else:
            inner = {**scope, "path": "/" + path.removeprefix(self._prefix)}

            async def sending(message: Any) -> None:
                if message["type"] == "http.response.start":
                    extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                    message = {**message, "headers": [*message["headers"], *extra]}
                await send(message)

            await self._app(inner, receive, sending)


async def body_of(request: Request, largest: int) -> bytes | Response:
    """Return the body of a request, or the reply that refuses it, as one over `largest` bytes."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > largest:
                return failed(LatteError("the request is too long"), 413)
    except ClientDisconnect:  # nobody reads this reply
        return failed(LatteError("the request is incomplete"), 400)
    return body


class OncePerLine:
    """Passes lines on, but not one that equals the line before it."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report, self._line = report, ""

    def __call__(self, line: str) -> None:
        """Report a line, unless it was the last one."""
        if line != self._line:
            self._line = line
            self._report(line)


def refused(status: int, why: str) -> Response:
    """Return a refusal as plain text."""
    return PlainTextResponse(why, status_code=status)


def failed(error: LatteError, status: int = 409) -> Response:
    """Return an error as JSON: what is wrong, where, and the fix."""
    data = {name: text and one_line(str(text)) for name, text in error_data(error).items()}
    return JSONResponse({"error": data}, status_code=status)


def error_data(error: LatteError) -> dict[str, str | None]:
    """Return an error as JSON data."""
    return {"what": error.what, "where": error.where, "hint": error.hint}


def error_line(error: LatteError) -> str:
    """Return an error as one line."""
    place = f"{error.where}: " if error.where else ""
    hint = f"; {error.hint}" if error.hint else ""
    return one_line(f"{place}{error.what}{hint}")
