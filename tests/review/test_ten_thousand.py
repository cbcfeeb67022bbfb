"""10,000 images and 7,000 answers: every request is fast, and memory is bounded."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from latte.interfaces import ImageReference
from latte.io.files import digest
from latte.results.answers import Answer, append_answers
from latte.review.pictures import picture_of
from latte.review.session import Review
from tests.helpers.reviews import TOKEN, made_up_review, served

IMAGES, CLASSES, ANSWERS = 10_000, 100, 7_000
SECONDS, MEGABYTES = 2.0, 200.0
"""Limits for the processor time of a request, and for the memory of all requests together."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Review:
    folder = tmp_path_factory.mktemp("review")
    return made_up_review(folder / "run", [f"class {label}" for label in range(CLASSES)], IMAGES)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of all threads, and the result."""
    start = time.process_time()
    outcome = work()
    return time.process_time() - start, outcome


def request(url: str, method: str, path: str, body: object = None) -> bytes:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request(method, f"/{TOKEN}/{path}", None if body is None else json.dumps(body))
    reply = connection.getresponse()
    assert reply.status == 200
    return reply.read()


def memory(name: str) -> float:
    """Return the memory of this process in MiB: `VmRSS` now, or `VmHWM` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def answer_most(review: Review) -> None:
    """Answer questions of two tasks in turn, 7,000 in all."""
    append_answers(
        review.file,
        [
            Answer(image.key, "class", f"class {image.adapted}", queue, "big", "")
            for image, queue in zip(
                review.population.images[:ANSWERS], cycle(("evidence", "images")), strict=False
            )
        ],
    )


@pytest.mark.parametrize("answered", [False, True])
def test_no_request_is_slow_and_memory_is_bounded(review: Review, answered: bool) -> None:
    if answered:
        answer_most(review)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
    memory_before, slowest = memory("VmRSS"), dict[str, float]()
    with served(review) as url:
        request(url, "GET", "state")
        for view in ("groups", "measure", "doubtful"):
            reply_seconds, reply = seconds(partial(request, url, "GET", f"question?view={view}"))
            question = json.loads(reply)["question"]
            rows = [photo["index"] for photo in question["photos"]] if question else []
            for row in rows:
                request(url, "GET", f"thumb/{row}")
            marks = [{"photo": row, "kind": "none"} for row in rows]
            body = {"view": view, "marks": marks, "seen": rows}
            saved, _ = seconds(partial(request, url, "POST", "answer", body))
            slowest[view] = max(reply_seconds, saved)
    grown = memory("VmHWM") - memory_before
    times = {view: f"{1000 * reply_seconds:.0f} ms" for view, reply_seconds in slowest.items()}
    sys.stdout.write(f"{times}, {grown:.0f} MiB\n")
    assert max(slowest.values()) < SECONDS
    assert grown < MEGABYTES


def test_a_large_photo_is_made_small_quickly(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((4000, 3000)).save(tmp_path / "large.jpg", quality=90)
    key = digest((tmp_path / "large.jpg").read_bytes())
    picture = picture_of(["large"], [key], [ImageReference("large", tmp_path / "large.jpg")])
    processor_seconds, pictures = seconds(lambda: [picture(0, 320) for _ in range(24)])
    sys.stdout.write(f"24 photos of 12 megapixels: {1000 * processor_seconds:.0f} ms\n")
    assert processor_seconds < 24 * 0.25
    assert max(map(len, pictures)) < 100_000
