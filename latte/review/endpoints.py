"""Endpoints of the page that learns while a person answers: state, questions, answers, events.

A photo is named by its index, never by a path. An answer is on the disk before its reply; the reply
has the next question, which was prepared before. The state of the page follows as an event: it
counts all answers, and no key waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from latte.interfaces import LatteError
from latte.io.paths import relative
from latte.results.answers import TaskName
from latte.review.bodies import (
    Answered,
    PhotoMark,
    WantedName,
    WantedOutput,
    number_in,
    place_in,
)
from latte.review.events import Events
from latte.review.guarded import LARGEST_BODY, OncePerLine, body_of, error_line, failed
from latte.review.live import Learning, LiveMethod, Order, Teach
from latte.review.outputs import Outputs
from latte.review.photo_map import PhotoMap, map_bytes
from latte.review.pictures import Pictures
from latte.review.question_data import question_data
from latte.review.session import Mark, Review
from latte.review.state import PageState
from latte.review.tasks import TaskPlace
from latte.review.views import QUEUES, Likeliest, Place, Prepared, Question, View, Views

if TYPE_CHECKING:
    from latte.review.asking import Features

_SHOWN_CHANGES = 24
"""Largest number of photos of a group of changed labels that the page shows."""
_MOST_GONE = 10
"""*Measure* ends at this number of photos in a row that cannot be shown."""
_MARK_BYTES = 100
"""Largest number of bytes of a photo in a request: a person may name all photos together."""
_NOTHING: Mapping[str, Any] = {"question": None, "left": 0, "ahead": []}
_GROUPS = Place("groups")


class Endpoints:
    """Endpoints that work in threads; only answers wait for each other."""

    def __init__(
        self,
        review: Review,
        pictures: Pictures,
        open_method: Callable[[], LiveMethod],
        teach: Teach,
        order: Order,
        features: Features,
        likeliest: Likeliest,
        report: Callable[[str], None],
        outputs: Outputs,
    ) -> None:
        self._review, self._pictures = review, pictures
        self._map = PhotoMap(review.run, features)
        self._report = OncePerLine(report)
        self._outputs = outputs
        self.learning: Learning = Learning(review, open_method, teach, order, self._announce)
        self._views = Views(review, likeliest)
        self.events: Events = Events(self.write_if_new)
        keys = review.run.rows.training_keys
        self._state = PageState(review, self.learning, outputs, len(keys))
        self._lock, self._telling = threading.Lock(), threading.Lock()
        self._asked: dict[str, Question] = {}
        self._saved: dict[str, tuple[Sequence[Mark], str]] = {}
        self._times: list[tuple[View, str]] = []
        self._rows = {key: row for row, key in reversed([*enumerate(keys)])}

    @property
    def routes(self) -> list[Route]:
        """The addresses of the endpoints."""
        return [
            Route("/state", self.state),
            Route("/question", self.question, methods=["GET"]),
            Route("/answer", self.answer, methods=["POST"]),
            Route("/withdraw", self.withdraw, methods=["POST"]),
            Route("/classes", self.name_class, methods=["POST"]),
            Route("/leave", self.leave, methods=["POST"]),
            Route("/changed", self.changed),
            Route("/events", self.stream),
            Route("/map", self.map),
            Route("/teach", self.teach, methods=["POST"]),
            Route("/finish", self.finish, methods=["POST"]),
            Route("/write", self.write, methods=["POST"]),
        ]

    def close(self) -> None:
        """Write a run with the answers, and end all threads."""
        self.events.close()
        self.write_if_new()
        self.learning.close()
        self._views.close()

    def write_if_new(self) -> None:
        """Write the run that the answers teach, if there are new ones; report an error."""
        try:
            if self.learning.has_unwritten:
                self.learning.write()
                self._announce("finished")
        except LatteError as error:
            self._report(error_line(error))

    def state(self, request: Request) -> Response:
        """Return the state of the page; learning begins with the first request."""
        return self._replied(self._page_state)

    def question(self, request: Request) -> Response:
        """Return the next question of a view."""
        return self._replied(lambda: self._next(place_in(request)))

    async def answer(self, request: Request) -> Response:
        """Save the answers to a question; return the next question."""
        return await self._posted(request, self._save, after=self._after_answer)

    async def withdraw(self, request: Request) -> Response:
        """Undo the newest answers, and return their view's next question."""
        return await self._posted(request, lambda body: self._undo())

    async def name_class(self, request: Request) -> Response:
        """Change the name of a class, or add one; return the state."""
        return await self._posted(request, self._name_class)

    async def leave(self, request: Request) -> Response:
        """End the view *Measure*: its answers teach from now on."""
        return await self._posted(request, lambda body: self._leave())

    async def teach(self, request: Request) -> Response:
        """Learn from the answers again, after an error."""
        return await self._posted(request, lambda body: self._teach_again())

    def changed(self, request: Request) -> Response:
        """Return the photos whose label changed in a revision, by old and new label."""
        return self._replied(lambda: self._changed(number_in(request, "revision")))

    async def stream(self, request: Request) -> Response:
        """Return the events of the page."""
        try:
            first = await run_in_threadpool(self._page_state)
        except LatteError as error:
            return failed(error)
        return self.events.stream(request, ("state", {"state": first}))

    def map(self, request: Request) -> Response:
        """Return position, label and flags of all photos, 8 bytes each."""
        try:
            stored = self._review.stored()
            answered = {self._rows[key] for key in stored.answers if key in self._rows}
            content = map_bytes(self._map.positions, self.learning.revision, answered)
        except LatteError as error:
            return failed(error)
        return Response(content, media_type="application/octet-stream")

    async def finish(self, request: Request) -> Response:
        """Write the run that all answers teach, and return its results."""
        return await self._posted(request, lambda body: self._finish(), is_locked=False)

    async def write(self, request: Request) -> Response:
        """Write the newest labels to a place beside the photos, and return the place."""
        return await self._posted(request, self._write, is_locked=False)

    def _replied(self, reply: Callable[[], Mapping[str, Any]]) -> Response:
        try:
            return JSONResponse(reply())
        except LatteError as error:
            return self._failed(error)

    async def _posted(
        self,
        request: Request,
        reply: Callable[[bytes], Mapping[str, Any]],
        *,
        is_locked: bool = True,
        after: Callable[[], None] | None = None,
    ) -> Response:
        """Return the reply to a request's body, which is made in a thread.

        `after` is called when the reply is sent.
        """
        body = await body_of(request, LARGEST_BODY + len(self._rows) * _MARK_BYTES)
        if isinstance(body, Response):
            return body
        make = self._locked if is_locked else _unlocked
        try:
            content = await run_in_threadpool(make, reply, body)
            return JSONResponse(content, background=after and BackgroundTask(after))
        except ValidationError as error:
            what = f"this is no answer: {error.errors()[0]['msg']}"
            return failed(LatteError(what), 422)
        except LatteError as error:
            return self._failed(error)

    def _locked(
        self, reply: Callable[[bytes], Mapping[str, Any]], body: bytes
    ) -> Mapping[str, Any]:
        with self._lock:
            return reply(body)

    def _failed(self, error: LatteError) -> Response:
        self._report(error_line(error))
        return failed(error)

    def _page_state(self) -> Mapping[str, Any]:
        self.learning.start()
        self._map.prepare()
        stored = self._review.stored()
        return self._state.data(stored, self._views.next(_GROUPS).left, bool(self._times))

    def _next(self, place: Place) -> Mapping[str, Any]:
        self.learning.start()
        prepared = self._views.next(place)
        question = prepared.question
        if place.view == "measure" and question and not self._can_show(question):
            prepared = self._without_gone(prepared)
        return {
            "question": prepared.question and self._described(prepared.question),
            "left": prepared.left,
            "ahead": prepared.ahead,
        }

    def _can_show(self, question: Question) -> bool:
        return all(self._pictures.can_show(image.row) for image in question.images)

    def _without_gone(self, prepared: Prepared) -> Prepared:
        """Return the next photos that can be shown; those before them get the answer `unsure`.

        The estimate uses only answers before the first unanswered photo. If none of the next
        `_MOST_GONE` photos can be shown, they get no answer, and there is no question.
        """
        gone: list[str] = []
        images = self._review.questions(TaskPlace(task="evidence"))
        for (image,) in islice(images, _MOST_GONE):
            if self._pictures.can_show(image.row):
                break
            gone.append(image.key)
        else:
            if gone:
                raise self._changed_images()
        if not gone:
            return prepared
        self._review.save("evidence", [Mark(key, "unsure") for key in gone], (*gone,))
        self._views.forget()
        return self._views.next(Place("measure"))

    def _changed_images(self) -> LatteError:
        hint = f"make the run again: {self._review.run.repeat_command()}"
        return LatteError("the images have changed since this run", hint=hint)

    def _save(self, body: bytes) -> Mapping[str, Any]:
        answered = Answered.model_validate_json(body)
        question = self._asked.get(answered.question)
        names = self._review.class_names
        marks = [self._mark(mark, names) for mark in answered.marks]
        is_skipped = not marks and not answered.seen
        if is_skipped and question is not None:
            self._views.skip(question)
        time = "" if is_skipped else self._once(answered, question, marks)
        place = Place(answered.view, answered.label, answered.skip)
        following = _NOTHING if place.view == "map" else self._next(place)
        return {"time": time, "next": following}

    def _after_answer(self) -> None:
        self._views.refresh()
        self._tell_if_known()

    def _once(self, answered: Answered, question: Question | None, marks: Sequence[Mark]) -> str:
        """Save the answers, unless the same ones to the same question are saved; return the time.

        A page that lost the reply sends its answers again.
        """
        if answered.question in self._saved:
            earlier, time = self._saved[answered.question]
            if earlier == marks:
                return time
        keys = self._review.run.rows.training_keys
        seen = {keys[row] for row in answered.seen if 0 <= row < len(keys)}
        task: TaskName = QUEUES[answered.view]
        if question is not None and question.kind == "named-class":
            task = "images"  # its photos belong to other groups, which are still to be named
        time = self._review.save(task, marks, seen) if marks else ""
        if answered.question:
            self._saved[answered.question] = marks, time
        if marks:
            self._times.append((answered.view, time))
        marked = {mark.key for mark in marks}
        self._views.answered(question, marked, seen & marked)
        self.learning.hold(answered.view == "measure")
        self.learning.answers_changed()
        return time

    def _mark(self, mark: PhotoMark, names: Sequence[str]) -> Mark:
        keys = self._review.run.rows.training_keys
        is_class = mark.kind == "class"
        if mark.photo not in range(len(keys)) or is_class != (mark.class_ is not None):
            raise LatteError("there is no such photo or class")
        if mark.class_ not in (None, *range(len(names))):
            raise LatteError("there is no such photo or class")
        label = None if mark.class_ is None else names[mark.class_]
        return Mark(keys[mark.photo], mark.kind, label)

    def _undo(self) -> Mapping[str, Any]:
        if not self._times:
            raise LatteError("there is no answer to undo")
        view, time = self._times[-1]
        self._review.undo(time)
        self._times.pop()
        self._saved.clear()
        self.learning.hold(view == "measure" and self.learning.is_held)
        self.learning.answers_undone()
        self._views.forget()
        state = self._tell()
        following = _NOTHING if view == "map" else self._next(Place(view))
        return {"view": view, **following, "state": state}

    def _name_class(self, body: bytes) -> Mapping[str, Any]:
        wanted = WantedName.model_validate_json(body)
        self._review.name_class(wanted.label, wanted.name)
        self.learning.answers_changed()
        return {"state": self._tell()}

    def _leave(self) -> Mapping[str, Any]:
        self.learning.hold(False)
        return {"state": self._page_state()}

    def _teach_again(self) -> Mapping[str, Any]:
        self.learning.answers_changed()
        return {"state": self._page_state()}

    def _finish(self) -> Mapping[str, Any]:
        self.learning.write()
        return {"state": self._tell("finished"), "results": self._state.finished()}

    def _write(self, body: bytes) -> Mapping[str, Any]:
        output = WantedOutput.model_validate_json(body).output
        learning = self.learning
        run = learning.write().folder if learning.has_unwritten else self._state.newest_run
        return {"path": relative(self._outputs.write(run, output)), "state": self._page_state()}

    def _changed(self, revision: int) -> Mapping[str, Any]:
        change = self.learning.change
        if change is None or change.revision != revision:
            return {"count": 0, "groups": []}
        groups = [
            {"old": old, "new": new, "photos": [*rows[:_SHOWN_CHANGES]], "count": len(rows)}
            for (old, new), rows in change.groups.items()
        ]
        return {"count": change.count, "groups": groups}

    def _described(self, question: Question) -> Mapping[str, Any]:
        self._asked[question.id] = question
        return question_data(question, self._review, self.learning.revision)

    def _announce(self, name: str) -> None:
        """Tell the pages what the learning thread did."""
        if name == "failed" and self.learning.error is not None:
            self._report(error_line(self.learning.error))
        if name in ("learning", "failed"):
            self.events.send(name, {"teaching": self._state.teaching()})
            return
        self._views.changed()
        self._tell_if_known(name)

    def _tell(self, name: str = "state") -> Mapping[str, Any]:
        """Send the state to all pages, and return it; a page gets the newest state last."""
        with self._telling:
            state = self._page_state()
            self.events.send(name, {"state": state})
            return state

    def _tell_if_known(self, name: str = "state") -> None:
        with suppress(LatteError):  # a damaged file of answers; the next request reports it
            self._tell(name)


def _unlocked(reply: Callable[[bytes], Mapping[str, Any]], body: bytes) -> Mapping[str, Any]:
    return reply(body)
