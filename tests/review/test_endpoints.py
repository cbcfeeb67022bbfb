"""The page's endpoints: answers are saved before the reply, teach at once, and can be undone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from latte.interfaces import LatteError
from latte.models.live_labels import LiveLabels
from latte.results.answers import read_answers
from latte.review.session import Review
from latte.review.state import PageState
from tests.helpers.limits import LIMITS, largest_file
from tests.helpers.page_client import Page
from tests.helpers.reviews import ConfusedMethod, made_up_review, served

NAMES = ("cat", "dog", "bird")


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path / "run", NAMES)


@pytest.fixture
def page(review: Review) -> Iterator[Page]:
    with served(review) as url:
        yield Page(url)


def label_of(review: Review, question: Any) -> int:
    """Return the label of a group's first photo."""
    row = question["photos"][0]["index"]
    return next(image.used_label for image in review.images if image.row == row)


def until_changed(events: Iterator[tuple[str, Any]]) -> Iterator[str]:
    """Yield the names of events up to the first one about changed labels."""
    end = time.monotonic() + 20
    for name, data in events:
        assert time.monotonic() < end
        yield name
        if name == "learned" and data["state"]["change"]:
            return


def idle(state: Any) -> bool:
    """Return True if the labels follow all answers; learning begins a moment after a reply."""
    return bool(state["teaching"]["state"] == "idle" and state["settled"])


def test_an_answer_is_saved_before_the_reply_with_the_next_question(
    page: Page, review: Review
) -> None:
    question = page.question()
    assert (question["kind"], len(question["photos"])) == ("group", 12)
    assert [photo["doubtful"] for photo in question["photos"]] == [False] * 9 + [True] * 3
    assert not {"label", "confidence"} & question["photos"][0].keys()
    status, reply = page.answer(question, 2)
    lines = read_answers(review.file)
    assert status == 200
    assert {line.time for line in lines} == {reply["time"]}
    assert [line.label for line in lines] == ["bird"] * 12
    shown = {photo["index"] for photo in question["photos"]}
    following = {photo["index"] for photo in reply["next"]["question"]["photos"]}
    assert following and not following & shown
    assert page.get("state")["answered"] == 12


def test_no_answer_waits_for_the_state_which_follows_as_an_event(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = page.events()
    assert next(events)[0] == "state"
    question, is_answered = page.question(), threading.Event()
    page.question("measure")
    data = PageState.data

    def slow(*arguments: Any) -> dict[str, Any]:
        assert is_answered.wait(10)
        return data(*arguments)

    monkeypatch.setattr(PageState, "data", slow)
    status, reply = page.answer(question, 1)
    assert (status, reply["next"]["question"]["view"]) == (200, "groups")
    is_answered.set()
    assert any(data.get("state", {}).get("answered") == 12 for _, data in events)


def test_answers_teach_at_once_and_the_page_hears_what_changed(page: Page, review: Review) -> None:
    events = page.events()
    assert next(events)[0] == "state"
    old = page.get("state")
    for _ in range(2):
        page.answer(group := page.question(), (label_of(review, group) + 1) % 3)
    heard = [*until_changed(events)]
    assert "learning" in heard
    state = page.state_when(idle)
    assert state["revision"] > old["revision"]
    assert sum(state["counts"]) == state["photos"] == 200
    change = page.get(f"changed?revision={state['change']['revision']}")
    assert change["count"] == state["change"]["count"] > 0
    assert sum(group["count"] for group in change["groups"]) == change["count"]
    assert page.get("changed?revision=99")["groups"] == []


def test_undo_is_instant_and_brings_the_labels_back(review: Review) -> None:
    method = ConfusedMethod(review)
    with served(review, method=lambda: method) as url:
        page = Page(url)
        first = page.question()
        page.answer(first, 0)
        page.answer(page.question(), 1)
        before = page.state_when(lambda state: idle(state) and method.measured > 0)
        question = page.question()
        page.answer(question, 2)
        page.state_when(lambda state: idle(state) and method.measured > 1)
        fits = method.fits
        status, undone = page.post("withdraw")
        assert (status, undone["view"]) == (200, "groups")
        assert undone["question"]["photos"] == question["photos"]
        assert undone["state"]["counts"] == before["counts"]
        assert page.state_when(idle)["counts"] == before["counts"]
        assert method.fits == fits
        for _ in range(2):
            assert page.post("withdraw")[0] == 200
        status, reply = page.post("withdraw")
        assert (status, reply["error"]["what"]) == (409, "there is no answer to undo")
        assert not page.get("state")["canUndo"]
    assert review.answers() == {}


def test_a_newer_answer_restarts_a_fit_once_and_labels_follow(review: Review) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    class Slow(ConfusedMethod):
        """Method whose first fit waits until it is superseded."""

        def fit(self, is_stale: Callable[[], bool]) -> LiveLabels:
            if self.fits == 0:
                begun.set()
                assert goes_on.wait(20)
            return super().fit(is_stale)

    method = Slow(review)
    with served(review, method=lambda: method) as url:
        page = Page(url)
        page.answer(page.question(), 0)
        page.answer(page.question(), 1)
        assert begun.wait(20)
        question = page.question()
        assert page.answer(question, 2)[0] == 200  # a fit never delays an answer
        goes_on.set()
        state = page.state_when(lambda state: idle(state) and method.measured > 0)
        assert method.fits == 2
    rows = [photo["index"] for photo in question["photos"]]
    assert state["answered"] == 36
    assert {review.images[0].key} and all(
        image.used_label == 2 for image in review.images if image.row in rows
    )


def test_the_same_answers_again_are_saved_once(page: Page, review: Review) -> None:
    question = page.question()
    first, second = page.answer(question, 1), page.answer(question, 1)
    assert first[0] == second[0] == 200
    assert first[1]["time"] == second[1]["time"]
    assert len(read_answers(review.file)) == 12
    page.post("withdraw")
    assert review.answers() == {}


def test_measure_asks_in_random_order_about_labels_that_do_not_move(review: Review) -> None:
    method = ConfusedMethod(review)
    with served(review, method=lambda: method) as url:
        page = Page(url)
        group = page.question()
        page.answer(group, label_of(review, group))
        second = page.question()
        page.answer(second, (label_of(review, second) + 1) % 3)
        page.state_when(idle)
        answered, model = review.answers().keys(), review.model
        drawn = [image for image in review.images if image.key not in answered]
        asked = []
        for number in range(25):
            question = page.question("measure")
            assert question["kind"] == "photo" and len(question["photos"]) == 1
            asked.append(question["photos"][0]["index"])
            image = next(image for image in review.images if image.row == asked[-1])
            page.answer(question, image.used_label if number % 5 else None)
            state = page.get("state")
            source = state["estimate"]["source"]
            assert source == ("random" if number >= 19 else "unknown")
        assert asked == [image.row for image in drawn[:25]]
        assert state["measureFrozen"] and review.model == model
        assert state["measured"] == {"answers": 25, "right": 20, "needed": 0}
        right = sum(
            image.used_label == NAMES.index(review.answers()[image.key].label or "")
            for image in review.images
            if image.key in answered
        )
        value = (right + 0.8 * len(drawn)) / 200
        assert state["estimate"]["value"] == pytest.approx(100 * value, abs=0.1)
        assert state["estimate"]["low"] < 100 * value < state["estimate"]["high"]
        assert state["history"][-1]["answers"] == 25
        fits = method.fits
        assert not page.post("leave")[1]["state"]["measureFrozen"]
        state = page.state_when(idle)
        assert method.fits > fits
        assert state["estimate"]["source"] == "random"  # no label has changed
        third = page.question()
        page.answer(third, (label_of(review, third) + 1) % 3)
        state = page.state_when(idle)
        # Of the left-out answers, only the 20 about random photos with a class measure.
        assert (state["estimate"]["source"], state["estimate"]["answers"]) == ("left-out", 20)
        assert state["estimate"]["low"] < state["estimate"]["value"] < state["estimate"]["high"]


def test_photos_that_were_not_on_the_screen_teach_and_do_not_measure(
    page: Page, review: Review
) -> None:
    first = page.question("measure")["photos"][0]["index"]
    marks = [{"photo": photo, "kind": "class", "class": 1} for photo in (first, 150)]
    status, reply = page.post("answer", view="map", marks=marks, seen=[150])
    assert (status, reply["next"]["question"]) == (200, None)
    assert len(review.answers()) == 2
    assert page.question("measure")["photos"][0]["index"] == first


def test_a_lasso_can_be_undone_and_may_name_photos_that_taught_the_run(tmp_path: Path) -> None:
    made = made_up_review(tmp_path / "run", NAMES)
    made.run.folder.corrected.write_text('{"key 7": 1}')
    review = Review(made.run)
    with served(review) as url:
        page = Page(url)
        marks = [{"photo": photo, "kind": "class", "class": 0} for photo in (7, 8)]
        assert page.post("answer", view="map", marks=marks, seen=[])[0] == 200
        assert review.answers().keys() == {"key 7", "key 8"}
        assert page.post("withdraw")[0] == 200
    assert review.answers() == {}


def test_a_class_that_no_photo_shows_is_asked_for_by_name_once(page: Page, review: Review) -> None:
    """All birds are called cats, so no photo shows a bird."""
    while (question := page.question())["kind"] == "group":
        page.answer(question, label_of(review, question) % 2)
        page.state_when(idle)
    assert (question["kind"], question["class"]) == ("named-class", 2)
    assert question["text"] == "Do you see bird here?"
    assert 0 < len(question["photos"]) <= 12
    reply = page.answer(question, None, marks=[])[1]
    assert reply["next"]["question"] is None
    assert page.question() is None


def test_the_map_is_fetched_with_eight_bytes_per_photo(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    def features(run: object) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(200, 8), dim=1)

    with served(review) as url:
        status, body = Page(url).raw("GET", "map")
        assert (status, *json.loads(body)) == (409, "error")  # a made-up run has no features
    monkeypatch.setattr("tests.helpers.reviews.training_features", features)
    with served(review) as url:
        status, body = Page(url).raw("GET", "map")
    assert (status, len(body)) == (200, 1600)


def test_errors_are_json_with_what_where_and_hint(page: Page, review: Review) -> None:
    question = page.question()
    bad_photo = [{"photo": 9999, "kind": "none"}]
    bad_class = [{"photo": 1, "kind": "class", "class": 3}]
    no_class = [{"photo": 1, "kind": "class"}]
    for marks in (bad_photo, bad_class, no_class):
        status, reply = page.answer(question, 0, marks=marks)
        assert status == 409
        assert reply["error"].keys() == {"what", "where", "hint"}
    assert page.answer(question, 0, path="/etc")[0] == 422
    assert page.answer(question, 0, view="else")[0] == 422
    assert page.raw("POST", "answer", b" " * 31_000)[0] == 413
    for path in ("question?view=../x", "question?view=doubtful&skip=-1", "changed?revision=x"):
        status, body = page.raw("GET", path)
        assert (status, *json.loads(body)) == (409, "error")
    assert review.answers() == {}


@pytest.mark.parametrize("view", ["groups", "measure", "doubtful"])
def test_a_skipped_question_comes_back_after_the_others(
    page: Page, review: Review, view: str
) -> None:
    first = page.get(f"question?view={view}")
    question = first["question"]
    status, reply = page.answer(question, 0, marks=[], seen=[])
    assert status == 200
    following = reply["next"]["question"]
    assert following["photos"] != question["photos"]
    shown = [photo["index"] for photo in following["photos"]]
    assert shown == first["ahead"][: len(shown)]
    assert reply["next"]["left"] == first["left"]
    assert review.answers() == {}


@LIMITS
def test_on_a_full_disk_an_answer_is_refused_and_can_be_given_again(review: Review) -> None:
    with served(review) as url:
        page = Page(url)
        page.answer(page.question(), 0)
        intact = review.file.read_bytes()
        question = page.question()
        with largest_file(len(intact) + 100):
            status, reply = page.answer(question, 1)
        assert status == 409
        assert reply["error"]["what"].startswith("cannot be written: file too large")
        assert reply["error"]["hint"].startswith("free some space")
        assert review.file.read_bytes() == intact
        assert page.answer(question, 1)[0] == 200


def test_a_failing_fit_is_reported_and_can_be_tried_again(review: Review) -> None:
    class Failing(ConfusedMethod):
        """Method whose first fit fails."""

        def fit(self, is_stale: Callable[[], bool]) -> LiveLabels:
            if self.fits == 0:
                self.fits += 1
                raise LatteError("the features are gone", hint="make the run again")
            return super().fit(is_stale)

    printed: list[str] = []
    with served(review, report=printed.append, method=lambda: Failing(review)) as url:
        page = Page(url)
        page.answer(page.question(), 0)
        page.answer(page.question(), 1)
        state = page.state_when(lambda state: state["teaching"]["state"] == "failed")
        assert state["teaching"]["error"]["what"] == "the features are gone"
        assert printed == ["the features are gone; make the run again"]
        assert page.post("teach")[0] == 200
        page.state_when(idle)
    assert len(review.answers()) == 24


def test_a_recipe_that_trains_learns_at_finish(review: Review) -> None:
    method = ConfusedMethod(review)
    method.why_not = "This recipe trains."
    with served(review, method=lambda: method) as url:
        page = Page(url)
        page.answer(page.question(), 0)
        state = page.state_when(lambda state: state["teaching"]["state"] == "at-finish")
    assert state["teaching"]["note"] == "This recipe trains."
    assert method.fits == 0


def test_two_people_at_once_lose_nothing(review: Review) -> None:
    def answer_twelve(url: str, view: str) -> set[int]:
        page, answered = Page(url), set[int]()
        for _ in range(12):
            question = page.question(view)
            if question is None:
                break
            assert page.answer(question, 0)[0] == 200
            answered |= {photo["index"] for photo in question["photos"]}
        return answered

    with served(review) as url, ThreadPoolExecutor() as threads:
        views = ("groups", "measure", "doubtful")
        answered = [*threads.map(lambda view: answer_twelve(url, view), views)]
    assert {f"key {row}" for rows in answered for row in rows} == review.answers().keys()
