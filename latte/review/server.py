"""The local web server of `latte review`: page, questions, images and answers.

A request names an image by its index, never by a path. Every address begins with a secret token;
requests for another host, or from another site's page, are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib.resources import files
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from latte.interfaces import LatteError
from latte.io.redaction import one_line
from latte.results.answers import MEASURING, AnswerKind, TaskName
from latte.results.measured_gain import not_shown
from latte.results.population import ReviewImage
from latte.results.run_answers import Stored
from latte.review.endpoints import Endpoints
from latte.review.guarded import LARGEST_BODY, Guarded, error_line, refused
from latte.review.session import Mark, Review
from latte.review.tasks import TASKS, Likely, TaskPlace
from latte.review.teaching import Teaching

Picture = Callable[[int, int], bytes]
"""Function from a training image's index and a largest side in pixels to a JPEG of the image."""

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_PAGE = files("latte.review").joinpath("page")
_FILES = {"": "page.html"} | {file.name: file.name for file in _PAGE.iterdir()}
_LARGE, _SMALL = 1024, 320
_MOST_GONE = 10
"""A task ends at this number of images in a row that cannot be shown."""
_SHOWN_CHANGES = 24
"""Largest number of images with a changed label that the page shows."""


class _MarkBody(BaseModel):
    """A person's answer about the image with index `row`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    row: int
    kind: AnswerKind
    label: int | None = None


class _Saved(TaskPlace):
    """Body of a request that saves answers."""

    marks: list[_MarkBody]


class _Undone(BaseModel):
    """Body of a request that undoes the answers saved at `time`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    time: str


def make_app(
    review: Review,
    picture: Picture,
    teaching: Teaching,
    token: str,
    hosts: frozenset[str],
    report: Callable[[str], None],
    endpoints: Endpoints | None = None,
) -> ASGIApp:
    """Return the web application, with the endpoints of a page that learns while one answers.

    `hosts` are the allowed values of the Host header, and `report` gets a line for each new error,
    such as a damaged file of answers.
    """
    server = _Server(review, picture, teaching, report)
    routes = [
        *(Route(f"/{name}", server.file) for name in _FILES),
        Route("/about", server.about),
        Route("/image/{row:int}", server.image),
        Route("/small/{row:int}", server.image),
        Route("/question", server.question, methods=["POST"]),
        Route("/answers", server.answers, methods=["POST"]),
        Route("/undo", server.undo, methods=["POST"]),
        Route("/teaching", server.teaching, methods=["GET", "POST"]),
        Route("/thumb/{row:int}", server.image),
        *([] if endpoints is None else endpoints.routes),
    ]
    return Guarded(Starlette(routes=routes), token, hosts)


class _Server:
    """Endpoints of the server, which work in threads, so that no request delays another.

    Only questions and answers wait for each other.
    """

    def __init__(
        self,
        review: Review,
        picture: Picture,
        teaching: Teaching,
        report: Callable[[str], None],
    ) -> None:
        self._review = review
        self._teaching = teaching
        self._report = report
        self._reported = ""
        self._picture = picture
        self._large = lru_cache(maxsize=4)(lambda row: picture(row, _LARGE))
        self._gone = set[str]()
        self._lock = threading.Lock()
        self._keys = {image.row: image.key for image in review.images}

    @cached_property
    def _likely(self) -> Likely:
        return Likely(self._review.images, len(self._review.run.class_names))

    def file(self, request: Request) -> Response:
        name = _FILES[request.url.path.removeprefix("/")]
        content = _PAGE.joinpath(name).read_text("utf-8")
        return Response(content, media_type=_TYPES[Path(name).suffix])

    def about(self, request: Request) -> Response:
        """Return the class names in label order, and the tasks."""
        names = self._review.run.class_names
        tasks = {
            task.name: {"title": task.title, "key": task.key, "prompt": task.prompt}
            for task in TASKS.values()
        }
        return JSONResponse({"run": self._review.name, "names": names, "tasks": tasks})

    def image(self, request: Request) -> Response:
        """Return an image as a new JPEG, by its index; the path `/small/` returns a smaller one."""
        row, is_small = request.path_params["row"], not request.url.path.startswith("/image/")
        if row not in self._keys:
            return refused(404, "there is no such image")
        try:
            content = self._picture(row, _SMALL) if is_small else self._large(row)
        except LatteError as error:
            return refused(404, error.what)
        return Response(content, media_type="image/jpeg")

    async def question(self, request: Request) -> Response:
        """Return the next question of a task."""
        return await self._replied(
            request, lambda body: self._state(TaskPlace.model_validate_json(body))
        )

    async def answers(self, request: Request) -> Response:
        """Append the answers to one question, and return their time and the next question."""
        return await self._replied(
            request, lambda body: self._save(_Saved.model_validate_json(body))
        )

    async def undo(self, request: Request) -> Response:
        """Undo the answers of one question, and return the next question of their task."""
        return await self._replied(
            request, lambda body: self._undo(_Undone.model_validate_json(body))
        )

    def teaching(self, request: Request) -> Response:
        """Return how far a model is taught with the answers; a POST request starts to teach it."""
        teaching = self._teaching
        if request.method == "POST":
            teaching.start()
        if teaching.is_running:
            return JSONResponse({"line": one_line(teaching.line)})
        if teaching.error is not None:
            return self._failed(teaching.error)
        return JSONResponse({"line": None, "comparison": self._comparison()})

    def _comparison(self) -> Mapping[str, Any] | None:
        comparison = self._teaching.comparison
        if comparison is None:
            return None
        old_counts, new_counts = comparison.old, comparison.new
        return {
            "lines": comparison.lines,
            "images": old_counts.total(),
            "classes": [
                [label, old_counts[label], new_counts[label]]
                for label in sorted({*old_counts, *new_counts})
            ],
            "changes": len(comparison.changed),
            "changed": [
                {**self._described(new), "old": old.used_label, "new": new.used_label}
                for old, new in comparison.changed[:_SHOWN_CHANGES]
            ],
        }

    async def _replied(
        self, request: Request, reply: Callable[[bytes], Mapping[str, Any]]
    ) -> Response:
        """Return the reply to a request's body, which is made in a thread."""
        body = b""
        try:
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    return refused(413, "the request is too long")
        except ClientDisconnect:  # nobody reads this reply
            return refused(400, "the request is incomplete")
        try:
            return JSONResponse(await run_in_threadpool(self._locked, reply, body))
        except ValidationError as error:
            return refused(422, f"this is no answer: {error.errors()[0]['msg']}")
        except LatteError as error:
            return self._failed(error)

    def _locked(
        self, reply: Callable[[bytes], Mapping[str, Any]], body: bytes
    ) -> Mapping[str, Any]:
        with self._lock:
            return reply(body)

    def _failed(self, error: LatteError) -> Response:
        """Return an error as one line, and report this line unless the last error had it too."""
        line = error_line(error)
        if line != self._reported:
            self._reported = line
            self._report(line)
        return refused(409, line)

    def _save(self, saved: _Saved) -> Mapping[str, Any]:
        names = self._review.run.class_names
        for mark in saved.marks:
            if mark.row not in self._keys or mark.label not in (None, *range(len(names))):
                raise LatteError("there is no such image or class")
        marks = [
            Mark(self._keys[mark.row], mark.kind, None if mark.label is None else names[mark.label])
            for mark in saved.marks
        ]
        time = self._review.save(saved.task, marks)
        return {**self._state(saved), "time": time}

    def _undo(self, undone: _Undone) -> Mapping[str, Any]:
        task = self._review.undo(undone.time)
        return self._state(TaskPlace(task=task))

    def _state(self, place: TaskPlace) -> Mapping[str, Any]:
        """Return the next question at a place, and what the answers say so far."""
        images, stored = self._asked(place)
        left = self._review.left(place, stored)
        note = not_shown(len(self._gone))
        asking = self._review.asking
        if (
            place.task == "images"
            and asking is not None
            and asking.may_stop(self._review.settled(stored))
        ):
            note = "You may stop: ten more answers are expected to change less than a point."
        if images is None and place.task == MEASURING and left:
            command = self._review.run.repeat_command()
            note = f"The images have changed since this run. Make the run again: {command}"
        return {
            "task": place.task,
            "question": images and self._question(place.task, images),
            "left": left,
            "answered": len(stored.answers),
            "unused": stored.unused(self._review.since),
            "note": note,
            "result": self._review.evidence(stored).lines if place.task == MEASURING else (),
        }

    def _question(self, task: TaskName, images: Sequence[ReviewImage]) -> Mapping[str, Any]:
        """Return what the page shows of a question: never a confidence or a model's name."""
        shown = [self._described(image) for image in images]
        if task == "images":
            shown = [
                {**described, "label": image.used_label}
                for described, image in zip(shown, images, strict=True)
            ]
        return {"images": shown, "options": self._likely.labels(images)}

    def _described(self, image: ReviewImage) -> Mapping[str, Any]:
        name = self._review.run.rows.training_ids[image.row]
        return {"row": image.row, "name": name, "others": image.others}

    def _asked(self, place: TaskPlace) -> tuple[Sequence[ReviewImage] | None, Stored]:
        """Return the images of the next question, if there is one, and the answers.

        If images that measure the gain cannot be shown, they get the answer `unsure`, because the
        estimate uses only answers before the first unanswered image. If none of the next
        `_MOST_GONE` images can be shown, they get no answer, and there is no question.
        """
        stored = self._review.stored()
        questions = self._review.questions(place, stored)
        if place.task != MEASURING:
            return next(questions, None), stored
        upcoming = [*islice(questions, _MOST_GONE)]
        gone = [*takewhile(lambda images: not self._shows(images[0]), upcoming)]
        if len(gone) == len(upcoming):
            return None, stored
        if gone:
            self._gone |= {images[0].key for images in gone}
            self._review.save(place.task, [Mark(images[0].key, "unsure") for images in gone])
        return upcoming[len(gone)], self._review.stored() if gone else stored

    def _shows(self, image: ReviewImage) -> bool:
        try:
            self._large(image.row)
        except LatteError:
            return False
        return True
