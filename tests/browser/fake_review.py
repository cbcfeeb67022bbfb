"""A review of invented photos: it answers as the server does, so that every state can be shown.

It fits nothing: after each answer, labels of some photos become their true ones.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from io import BytesIO
from random import Random
from typing import Any

from PIL import Image, ImageDraw
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from latte.results.class_hues import class_hues
from latte.review.page_texts import estimate_facts, page_texts
from latte.review.serving import server_of

GROUP = 12
"""Number of photos of a group and of a sheet."""
POLICY = (
    "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SEVEN = ("biotite", "bornite", "chrysocolla", "malachite", "muscovite", "pyrite", "quartz")
FORTY = (
    *SEVEN,
    *("agate", "albite", "amazonite", "amethyst", "apatite", "aragonite", "azurite", "barite"),
    *("beryl", "calcite", "celestine", "cinnabar", "copper", "corundum", "dolomite", "epidote"),
    *("fluorite", "galena", "garnet", "goethite", "graphite", "gypsum", "halite", "hematite"),
    *("kyanite", "labradorite", "lapis_lazuli", "magnetite", "olivine", "opal", "orthoclase"),
    *("rhodonite", "sphalerite"),
)
PATH = ((0, 5), (11, 24), (22, 41), (32, 54), (43, 63), (54, 68), (65, 72), (76, 74), (87, 75))
"""Answers and percentages of right labels, after each group."""
TEN_MORE = (20.0, 16.0, 12.0, 8.0, 4.0, 3.0, 1.0, 0.4, 0.3)


def stone(photo: int, true: int, side: int) -> bytes:
    """Return a picture of a facetted stone; its colours are its class's."""
    random = Random(photo)
    ground = random.choice(["#f2f1ee", "#2b2d33", "#b8946c", "#9fb0c0", "#d9cbb2"])
    image = Image.new("RGB", (side, side * 3 // 4), ground)
    draw = ImageDraw.Draw(image)
    middle, radius = (side / 2, side * 0.375), side * random.uniform(0.24, 0.32)
    corners = [
        (
            middle[0] + radius * random.uniform(0.8, 1.15) * x,
            middle[1] + radius * random.uniform(0.8, 1.15) * y,
        )
        for x, y in ((1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7), (0, -1))
    ]
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        hue = (true * 51 + random.randrange(24)) % 360
        draw.polygon([middle, start, end], f"hsl({hue}, 45%, {random.randrange(25, 70)}%)")
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


@dataclass
class FakeReview:
    """Answers of a person about invented photos. Tests set faults and read `saved`."""

    names: list[str] = field(default_factory=lambda: list(SEVEN))
    photos: int = 423
    groups: int = 8
    step: int = 4
    """Number of groups that were named."""
    random_answers: int = 12
    error: Mapping[str, Any] | None = None
    """Reply to answers while it is set: they are not saved."""
    gone: set[int] = field(default_factory=set)
    """Photos whose picture is gone."""
    asks_for: int | None = None
    """Class that the next question of groups asks for by its name."""
    first: str = "groups"
    """View that the page begins with."""
    can_name_classes: bool = True
    frozen: bool = False
    is_estimated: bool = True
    """False while the newest labels are not estimated yet."""
    fails: str | None = None
    """Sentence on why the next fit fails, and *Finish*."""
    delay: float = 0.05
    """Seconds of a fit."""
    slow: float = 0.0
    """Seconds until an answer is saved."""
    picture: Callable[[int, int, int], bytes] = stone
    saved: list[dict[str, Any]] = field(default_factory=list)
    finished: dict[str, Any] | None = None
    earlier: int = 0
    written: list[str] = field(default_factory=list)
    revision: int = 0
    asked: int = 0
    before: list[tuple[int, int, int]] = field(default_factory=list)
    listeners: list[asyncio.Queue[bytes | None]] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None

    def __post_init__(self) -> None:
        random = Random(5)
        used = min(len(self.names), 7)
        self.true = [random.randrange(used) for _ in range(self.photos)]
        self.zero_shot = [random.randrange(len(self.names)) for _ in range(self.photos)]
        self.luck = [random.random() for _ in range(self.photos)]
        self.place = [
            (
                min(1, max(0, 0.2 + 0.6 * (true * 0.37 % 1) + random.gauss(0, 0.06))),
                min(1, max(0, 0.15 + 0.7 * (true * 0.61 % 1) + random.gauss(0, 0.06))),
            )
            for true in self.true
        ]
        self.answered = PATH[self.step][0]
        self.named = self.step
        self.learning = False

    # State

    def label(self, photo: int, step: int | None = None) -> int:
        share = PATH[min(self.step if step is None else step, len(PATH) - 1)][1] / 100
        return self.true[photo] if self.luck[photo] < share else self.zero_shot[photo]

    def doubtful(self, photo: int) -> bool:
        return photo % 9 == 4

    def _counts(self, labels: Sequence[int]) -> list[int]:
        counted = Counter(labels)
        return [counted[label] for label in range(len(self.names))]

    def state(self) -> dict[str, Any]:
        step = min(self.step, len(PATH) - 1)
        history = [
            {"answers": answers, "value": value, "low": max(0, value - 14), "high": value + 12}
            for answers, value in PATH[: step + 1]
        ]
        known = step > 0
        labels = range(len(self.names))
        counts = self._counts([self.label(photo) for photo in self.all()])
        by_size = sorted(labels, key=lambda label: -counts[label])
        hues = class_hues(by_size)
        changed = sum(self.label(photo) != self.label(photo, step - 1) for photo in self.all())
        state: dict[str, Any] = {
            "name": "Mineralien",
            "photos": self.photos,
            "classes": self.names,
            "canNameClasses": self.can_name_classes,
            "revision": self.revision,
            "answered": self.answered,
            "first": self.first,
            "groupsLeft": max(0, self.groups - self.named),
            "counts": counts,
            "bySize": by_size,
            "hues": [hues[label] for label in labels],
            "zeroShotCounts": self._counts(self.zero_shot),
            "zeroShotKnowsNames": False,
            "estimate": {"source": "left-out", **history[-1], "needed": 0}
            if known and self.is_estimated
            else {"source": "unknown", "answers": 0, "needed": 6, "isNear": False},
            "zeroShot": 5 if known else None,
            "history": history if known else [],
            "tenMore": {"points": TEN_MORE[step], "atLeast": step == 1} if known else None,
            "teaching": {"state": "learning" if self.learning else "idle"},
            "measureFrozen": self.frozen,
            "measured": {
                "answers": self.random_answers,
                "right": self.random_answers * 2 // 3,
                "needed": max(0, 20 - self.random_answers),
            },
            "finishing": False,
            "finished": self.finished,
            "change": {"count": changed, "revision": self.revision} if known and changed else None,
            "canUndo": bool(self.answered or self.saved),
            "commands": {
                "sort": "latte predict adapted/mineralien-6f9a photos --sort-into sorted",
                "export": "latte export adapted/mineralien-6f9a --to labels.csv",
                "predict": "latte predict adapted/mineralien-6f9a new-photos --output labels.csv",
                "report": "adapted/mineralien-6f9a/report/index.html",
            },
            "earlier": self.earlier,
            "outputs": {"sorted": "photos-sorted", "labels": "photos-labels.csv"},
            "doubtful": sum(map(self.doubtful, self.all())),
        }
        return state | {"texts": page_texts(state), "facts": estimate_facts(state)}

    def all(self) -> range:
        return range(self.photos)

    # Questions

    def question(self, view: str, label: int | None = None) -> dict[str, Any]:
        left = {"groups": max(0, self.groups - self.named), "measure": self.photos}
        shown, ahead = self._photos(view), self._photos(view, self.asked + 1)
        if label is not None:
            of_class = [photo for photo in self.all() if self.label(photo) == label]
            shown = of_class[self.asked * GROUP :][:GROUP]
        if left.get(view, 1) == 0 or self.photos < GROUP:
            return {"question": None, "left": 0, "ahead": []}
        kind = {"groups": "group", "measure": "photo", "doubtful": "sheet"}[view]
        question: dict[str, Any] = {"id": f"{view} {self.asked}", "view": view, "kind": kind}
        if view == "groups" and self.asks_for is not None:
            question |= {"kind": "named-class", "class": self.asks_for}
        question["likely"] = [(self.asked * 3 + rank) % len(self.names) for rank in range(9)]
        question["photos"] = [
            {
                "index": photo,
                "name": f"IMG_{1000 + photo}.jpg",
                "others": 3 if photo % 40 == 5 else 0,
                "doubtful": at >= 9,
                **(self._labelled(photo, at) if view == "doubtful" else {}),
            }
            for at, photo in enumerate(shown)
        ]
        return {"question": question, "left": left.get(view, self.photos), "ahead": ahead}

    def _labelled(self, photo: int, at: int) -> dict[str, Any]:
        runner_up = (self.label(photo) + 1) % len(self.names)
        return {"label": self.label(photo), "runnerUp": runner_up, "confidence": 0.34 + at / 80}

    def _photos(self, view: str, asked: int | None = None) -> list[int]:
        at = self.asked if asked is None else asked
        if view == "groups":
            mine = [photo for photo in self.all() if self.true[photo] == (at + 1) % 7]
            return [
                (mine or [*self.all()])[(at * 5 + k) % len(mine or self.all())] for k in range(12)
            ]
        if view == "measure":
            return [(at * 131 + 17) % self.photos]
        return [(at * 60 + 4 + 9 * k) % self.photos for k in range(GROUP)]

    # Requests

    async def get_state(self, request: Request) -> Response:
        return JSONResponse(self.state())

    async def get_question(self, request: Request) -> Response:
        label = request.query_params.get("label")
        view = request.query_params["view"]
        return JSONResponse(self.question(view, None if label is None else int(label)))

    async def answer(self, request: Request) -> Response:
        body = await request.json()
        await asyncio.sleep(self.slow)
        if self.error:
            return JSONResponse({"error": dict(self.error)}, 409)
        taught = bool(body["marks"])
        self.before.append((self.step, self.answered, self.named))
        finishes_sheet = body["view"] != "doubtful" or len(body["marks"]) > 3 or not taught
        if taught or body["seen"]:
            self.saved.append(body)
            self.answered += sum(mark["kind"] == "class" for mark in body["marks"])
            self.finished = None
        if finishes_sheet:
            self.asked += 1
        if body["view"] == "measure" and taught:
            self.random_answers += 1
        if body["view"] == "groups":
            self.asks_for = None
            self.named += taught
        if taught:
            self.learning = True
            self._send("learning", {"teaching": {"state": "learning"}})
            asyncio.get_running_loop().call_later(self.delay, self._learn)
        following = {"question": None, "left": 0, "ahead": []}
        if body["view"] != "map":
            following = self.question(body["view"], body["label"])
        self._send("state", {"state": self.state()})
        return JSONResponse({"time": str(len(self.saved)), "next": following})

    def _learn(self) -> None:
        self.learning = False
        if self.fails:
            error = {"what": self.fails, "where": None, "hint": "close other programs"}
            self._send("failed", {"teaching": {"state": "failed", "error": error}})
            self.fails = None
            return
        self.step = min(self.step + 1, len(PATH) - 1)
        self.revision += 1
        self._send("learned", {"state": self.state()})

    async def withdraw(self, request: Request) -> Response:
        body = self.saved.pop() if self.saved else {"view": "groups"}
        if self.before:
            self.step, self.answered, self.named = self.before.pop()
        self.asked = max(0, self.asked - 1)
        self.revision += 1
        shown = self.question(body["view"]) if body["view"] != "map" else {}
        return JSONResponse({"view": body["view"], **shown, "state": self.state()})

    async def classes(self, request: Request) -> Response:
        body = await request.json()
        if body["name"] in self.names:
            error = {"what": f'there is a class "{body["name"]}" already', "where": None}
            return JSONResponse({"error": {**error, "hint": "type another name"}}, 409)
        if body["label"] is None:
            self.names.append(body["name"])
        else:
            self.names[body["label"]] = body["name"]
        return JSONResponse({"state": self.state()})

    async def leave(self, request: Request) -> Response:
        self.frozen = False
        return JSONResponse({"state": self.state()})

    async def teach(self, request: Request) -> Response:
        self._learn()
        return JSONResponse({"state": self.state()})

    async def finish(self, request: Request) -> Response:
        if self.fails:
            return JSONResponse({"error": {"what": self.fails, "where": None, "hint": None}}, 409)
        self.finished = {"folder": "adapted/mineralien-6f9a", "lines": [], "commands": []}
        results = {**self.finished, "commands": self.state()["commands"]}
        return JSONResponse({"state": self.state(), "results": results})

    async def write(self, request: Request) -> Response:
        output = (await request.json())["output"]
        if output in self.written:
            error = {"what": "something is here already", "where": f"photos-{output}"}
            return JSONResponse({"error": {**error, "hint": "remove or rename it"}}, 409)
        self.written.append(output)
        return JSONResponse({"path": self.state()["outputs"][output], "state": self.state()})

    async def changed(self, request: Request) -> Response:
        flows: dict[tuple[int, int], list[int]] = {}
        for photo in self.all():
            old, new = self.label(photo, self.step - 1), self.label(photo)
            if old != new:
                flows.setdefault((old, new), []).append(photo)
        largest = sorted(flows.items(), key=lambda flow: -len(flow[1]))[:6]
        groups = [{"old": old, "new": new, "photos": some} for (old, new), some in largest]
        return JSONResponse({"groups": groups})

    async def map(self, request: Request) -> Response:
        rows = (
            struct.pack(
                "<HHHBB",
                int(self.place[photo][0] * 65535),
                int(self.place[photo][1] * 65535),
                self.label(photo),
                self.doubtful(photo) + 2 * (photo % 10 == 0),
                0,
            )
            for photo in self.all()
        )
        return Response(b"".join(rows))

    async def image(self, request: Request) -> Response:
        photo, is_small = request.path_params["photo"], "/thumb/" in request.url.path
        if photo in self.gone:
            return JSONResponse({"error": {"what": "gone", "where": None, "hint": None}}, 404)
        content = self.picture(photo, self.true[photo], 240 if is_small else 1024)
        headers = {"cache-control": "no-store"}
        return Response(content, media_type="image/jpeg", headers=headers)

    async def events(self, request: Request) -> Response:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.listeners.append(queue)
        self.loop = asyncio.get_running_loop()

        async def sent() -> AsyncIterator[bytes]:
            yield b": open\n\n"
            while (message := await queue.get()) is not None:
                yield message

        return StreamingResponse(sent(), media_type="text/event-stream")

    def _send(self, name: str, data: Mapping[str, Any]) -> None:
        for queue in self.listeners:
            queue.put_nowait(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    def end(self) -> None:
        """End the connections that wait for events, because the server waits for them."""
        for queue in self.listeners:
            queue.put_nowait(None)

    async def file(self, request: Request) -> Response:
        name = request.url.path.rsplit("/", 1)[1] or "page.html"
        kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
        content = files("latte.review").joinpath("page", name).read_text("utf-8")
        headers = {"content-security-policy": POLICY}
        return Response(content, media_type=kinds[name.rsplit(".", 1)[1]], headers=headers)

    def app(self) -> Starlette:
        """Return the web application, at the path `/token/`."""
        posts = ("answer", "classes", "withdraw", "leave", "teach", "finish", "write")
        gets = {
            "state": self.get_state,
            "question": self.get_question,
            "changed": self.changed,
            "map": self.map,
            "events": self.events,
            "thumb/{photo:int}": self.image,
            "image/{photo:int}": self.image,
            "": self.file,
            "{name}.css": self.file,
            "{name}.js": self.file,
        }
        return Starlette(
            routes=[
                *(Route(f"/token/{name}", getattr(self, name), methods=["POST"]) for name in posts),
                *(Route(f"/token/{path}", endpoint) for path, endpoint in gets.items()),
            ]
        )


@contextmanager
def serving(review: FakeReview, port: int = 0) -> Iterator[str]:
    """Serve a made-up review in a thread; the block gets the page's address."""
    listener = socket.create_server(("127.0.0.1", port))
    server = server_of(review.app())
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/token/"
    finally:
        if review.loop is not None:
            review.loop.call_soon_threadsafe(review.end)
        server.should_exit = True
        thread.join()
        listener.close()
