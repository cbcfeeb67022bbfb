"""The local web server of `latte review`: page, questions, images and answers.

A request names an image by its index, never by a path. Every address begins with a secret token;
requests for another host, or from another site's page, are refused.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from itertools import takewhile
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from latte.interfaces import LatteError
from latte.io.redaction import one_line
from latte.results.answers import Kind
from latte.review.queues import Question, QueueName
from latte.review.sentences import not_shown
from latte.review.session import Review, Standing

Picture = Callable[[int, int], bytes]
"""Function from a training image's index and a largest side in pixels to a JPEG of the image."""

_FILES = {"": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_LARGEST_ANSWER = 10_000
_LARGE, _SMALL = 1024, 320
_MOST_GONE = 10
"""A task ends at this number of images in a row that cannot be shown."""
_HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self' data:; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class _Given(BaseModel):
    """Body of a request that answers a question."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rows: list[int]
    others: list[int] = []
    """Indices of the images on the same sheet to which the answer does not apply."""
    kind: Kind
    label: int | None = None
    queue: QueueName


def make_app(
    review: Review,
    picture: Picture,
    token: str,
    hosts: frozenset[str],
    report: Callable[[str], None],
) -> ASGIApp:
    """Return the web application.

    `hosts` are the allowed values of the Host header, and `report` gets a line for each new error,
    such as a damaged file of answers.
    """
    server = _Server(review, picture, report)
    routes = [
        *(Route(f"/{name}", server.file) for name in _FILES),
        Route("/question", server.question),
        Route("/classes", server.classes),
        Route("/image/{row:int}", server.image),
        Route("/small/{row:int}", server.image),
        Route("/answers", server.answer, methods=["POST"]),
    ]
    return _Guarded(Starlette(routes=routes), token, hosts)


class _Server:
    """Endpoints of the server, which work in threads, so that no request delays another.

    Only questions and answers wait for each other.
    """

    def __init__(self, review: Review, picture: Picture, report: Callable[[str], None]) -> None:
        self._review = review
        self._report = report
        self._reported = ""
        self._picture = picture
        self._large = lru_cache(maxsize=4)(lambda row: picture(row, _LARGE))
        self._gone = set[str]()
        self._lock = threading.Lock()
        self._keys = {one.row: one.key for one in review.population.images}

    def file(self, request: Request) -> Response:
        name = request.url.path.removeprefix("/")
        content = files("latte.review").joinpath("page", name or "page.html").read_text("utf-8")
        return Response(content, media_type=_FILES[name])

    def question(self, request: Request) -> Response:
        """Return the next question of the queue `?queue=`, and the estimate so far."""
        queue = request.query_params.get("queue", "evidence")
        if queue not in self._review.queues:
            return _refused(404, f'there is no queue "{queue}"')
        try:
            with self._lock:
                return JSONResponse(self._state(self._review.queues[queue].name))
        except LatteError as error:
            return self._failed(error)

    def classes(self, request: Request) -> Response:
        """Return the class names in label order, and the queues."""
        names = self._review.run.class_names
        queues = {
            name: {"title": queue.title, "prompt": queue.prompt, "sheet": queue.is_sheet}
            for name, queue in self._review.queues.items()
        }
        return JSONResponse({"run": self._review.name, "names": names, "queues": queues})

    def image(self, request: Request) -> Response:
        """Return an image as a new JPEG, by its index; the path `/small/` returns a smaller one."""
        row, is_small = request.path_params["row"], request.url.path.startswith("/small/")
        if row not in self._keys:
            return _refused(404, "there is no such image")
        try:
            found = self._picture(row, _SMALL) if is_small else self._large(row)
        except LatteError as error:
            return _refused(404, error.what)
        return Response(found, media_type="image/jpeg")

    async def answer(self, request: Request) -> Response:
        """Append the answers about one question and return the next question."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST_ANSWER:
                return _refused(413, "the answer is too long")
        try:
            given = _Given.model_validate_json(body)
            state = await run_in_threadpool(self._answered, given)
        except ValidationError as error:
            return _refused(422, f"this is no answer: {error.errors()[0]['msg']}")
        except LatteError as error:
            return self._failed(error)
        return JSONResponse(state)

    def _failed(self, error: LatteError) -> Response:
        """Return an error as one line, and report this line unless the last error had it too."""
        place = f"{error.where}: " if error.where else ""
        hint = f"; {error.hint}" if error.hint else ""
        line = one_line(f"{place}{error.what}{hint}")
        if line != self._reported:
            self._reported = line
            self._report(line)
        return _refused(409, line)

    def _answered(self, given: _Given) -> Mapping[str, Any]:
        with self._lock:
            self._append(given)
            return self._state(given.queue)

    def _append(self, given: _Given) -> None:
        names = self._review.run.class_names
        unknown = not {*given.rows, *given.others} <= self._keys.keys()
        if unknown or (given.label is not None and given.label not in range(len(names))):
            raise LatteError("there is no such image or class")
        label = None if given.label is None else names[given.label]
        keys, others = ([self._keys[row] for row in rows] for rows in (given.rows, given.others))
        self._review.answer(keys, given.kind, label, given.queue, others)

    def _standing(self, queue: QueueName) -> Standing:
        """Return the state of a queue, with the next question about an image that can be shown.

        In a queue that measures the gain, the images before it get the answer `unsure`, because the
        estimate uses only answers before the first unanswered image. If none of the next
        `_MOST_GONE` images can be shown, they get no answer, and the state has no question.
        """
        now, asks = self._review.standing(queue), self._review.queues[queue]
        if now.question is None or asks.is_sheet or self._shows(now.question):
            return now
        upcoming = self._review.upcoming(_MOST_GONE + len(self._gone), queue)
        asked = [one for one in upcoming if one.images[0].key not in self._gone]
        gone = [*takewhile(lambda one: not self._shows(one), asked)]
        if len(gone) == len(asked):
            return replace(now, question=None)
        keys = [one.images[0].key for one in gone]
        self._gone |= {*keys}
        if not asks.measures:
            return replace(now, question=asked[len(gone)])
        self._review.answer(keys, "unsure", None, queue)
        return self._review.standing(queue)

    def _shows(self, question: Question) -> bool:
        try:
            self._large(question.images[0].row)
        except LatteError:
            return False
        return True

    def _state(self, queue: QueueName) -> Mapping[str, Any]:
        now = self._standing(queue)
        measures = self._review.queues[queue].measures
        note = not_shown(len(self._gone), measures=measures)
        if now.question is None and now.left:
            command = self._review.run.repeat_command()
            note = f"The images have changed since this run. Make the run again: {command}"
        # The page shows neither confidences nor the models' names.
        question = now.question and {
            "rows": [one.row for one in now.question.images],
            "options": now.question.options,
        }
        return {
            "queue": queue,
            "question": question,
            "answered": now.answered,
            "left": now.left,
            "uses": now.uses,
            "next_step": now.next_step,
            "note": note,
            "result": now.evidence.lines,
        }


class _Guarded:
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
            await _refused(403, "not allowed")(scope, receive, send)
        elif not secrets.compare_digest(path[: len(self._prefix)].encode(), self._prefix.encode()):
            await _refused(404, "not found")(scope, receive, send)
        else:
            inner = {**scope, "path": "/" + path.removeprefix(self._prefix)}

            async def sending(message: Any) -> None:
                if message["type"] == "http.response.start":
                    extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                    message = {**message, "headers": [*message["headers"], *extra]}
                await send(message)

            await self._app(inner, receive, sending)


def _refused(status: int, why: str) -> Response:
    return PlainTextResponse(why, status_code=status)
