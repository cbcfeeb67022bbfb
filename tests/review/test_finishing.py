"""A run is written at Finish, after the last page has closed, and at the end of the server."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from latte.interfaces import LatteError, Progress
from latte.review.session import Review
from tests.helpers.page_client import Page
from tests.helpers.reviews import made_up_review, served


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path / "run", ("cat", "dog", "bird"))


def test_finish_writes_one_run_and_says_so(review: Review) -> None:
    written: list[int] = []

    def teach(progress: Progress) -> tuple[Path, list[str]]:
        written.append(len(review.answers()))
        return review.run.folder.path, ["36 answers taught the model."]

    with served(review, teach=teach) as url:
        page = Page(url)
        for label in range(3):
            page.answer(page.question(), label)
        status, reply = page.post("finish")
        assert status == 200
        assert reply["results"]["lines"] == ["36 answers taught the model."]
        assert reply["results"]["commands"]["predict"].startswith("latte predict ")
        assert reply["state"]["finished"] == reply["results"]
        assert page.post("finish")[0] == 200
        assert written == [36]
        page.answer(page.question("measure"), 0)
        assert page.get("state")["finished"] is None
    assert written == [36, 37]  # the end of the server writes the newest answers


def test_without_answers_nothing_is_written_and_finish_says_why(review: Review) -> None:
    def teach(progress: Progress) -> tuple[Path, list[str]]:
        raise LatteError("there is no answer to learn from")

    printed: list[str] = []
    with served(review, report=printed.append, teach=teach) as url:
        status, reply = Page(url).post("finish")
    assert (status, reply["error"]["what"]) == (409, "there is no answer to learn from")
    assert printed == ["there is no answer to learn from"]


def test_a_minute_after_the_last_page_has_closed_the_run_is_written(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte.review.events.LEFT_SECONDS", 0.2)
    written = threading.Event()

    def teach(progress: Progress) -> tuple[Path, list[str]]:
        written.set()
        return review.run.folder.path, []

    with served(review, teach=teach) as url:
        page = Page(url)
        events = page.events()
        next(events)
        for label in range(2):
            page.answer(page.question(), label)
        assert not written.wait(0.5)  # a page is open
        events.close()  # type: ignore[attr-defined]
        assert written.wait(20)


def test_an_open_page_does_not_hold_up_the_end(review: Review) -> None:
    with served(review) as url:
        events = Page(url).events()
        next(events)
        began = time.monotonic()
    assert time.monotonic() - began < 10
