"""The review page in a real browser: what it says, faults, focus, phones, accessibility."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.browser.fake_review import FORTY, FakeReview, serving
from tests.browser.review_page import (
    WIDTHS,
    focused,
    is_shown,
    marks,
    open_page,
    photos,
    press,
    settle,
    text,
)
from tests.helpers.axe import TAGS, axe_script
from tests.helpers.chromium import NEEDS_BROWSER, Page

pytestmark = NEEDS_BROWSER

FULL = {"what": "no space left on device", "where": "review.jsonl", "hint": "free some space"}


# The head


def test_the_head_shows_one_number_with_its_interval(page: Page) -> None:
    page.show(1280)
    with serving(FakeReview()) as url:
        open_page(page, url)
        assert text(page, "progress") == "423 photos, 43 answered, 4 groups left"
        assert " ".join(text(page, "estimate").split()) == (
            "63 % right probably 49 to 75 % After 43 answers, was 5 % "
            "Ten more: about +4 points How sure is this number?"
        )
        assert page.evaluate("document.querySelector('#estimate .course').points.length") == 5
        page.evaluate("document.getElementById('estimate').click()")
        assert "Each answer about a random photo was left out once" in text(page, "how-facts")


@pytest.mark.parametrize(
    ("step", "more"), [(1, "at least +16 points"), (4, "about +4 points"), (8, "less than a point")]
)
def test_ten_more_answers_are_expected_to_bring(page: Page, step: int, more: str) -> None:
    with serving(FakeReview(step=step)) as url:
        open_page(page, url)
        assert text(page, "estimate").endswith(f"Ten more: {more}\nHow sure is this number?")


def test_without_answers_the_accuracy_is_not_known(page: Page) -> None:
    with serving(FakeReview(step=0, random_answers=0)) as url:
        open_page(page, url)
        assert text(page, "estimate").startswith(
            "Accuracy not known yet\n6 random photos in Measure"
        )
        assert "%" not in text(page, "head")
        assert page.evaluate("document.getElementById('undo').disabled")
        press(page, ["x"])
        assert text(page, "headline") == "Finish here, or go on."
        assert text(page, "written") == ""


def test_the_number_before_stands_until_the_newest_labels_are_estimated(page: Page) -> None:
    with serving(FakeReview(is_estimated=False)) as url:
        open_page(page, url)
        assert text(page, "estimate").startswith(
            "63 % right\nprobably 49 to 75 %\nAfter 43 answers"
        )


# Learning


def test_learning_never_replaces_the_question_and_moves_the_bars(page: Page) -> None:
    review = FakeReview(delay=0.4)
    with serving(review) as url:
        open_page(page, url)
        page.evaluate("window.row = document.querySelector('.class'), 0")
        press(page, ["2"])
        shown = photos(page)
        press(page, ["b"])
        assert is_shown(page, "learning")
        page.wait_for("document.getElementById('estimate').innerText.startsWith('68')")
        assert not is_shown(page, "learning")
        assert photos(page) == shown
        assert page.evaluate("document.querySelectorAll('[data-mark=out]').length") == 1
        assert page.evaluate("document.querySelector('.class') === window.row")
        count = review.state()["change"]["count"]
        assert text(page, "line") == f"12 photos named bornite. {count} labels changed."
        page.evaluate("document.getElementById('see').click()")
        settle(page)
        assert text(page, "changes-title") == f"{count} labels changed"
        assert page.evaluate("document.querySelectorAll('#flows section').length") >= 2
        page.evaluate("document.querySelector('#changes [data-key=u]').click()")
        settle(page)
        assert review.saved == []
        assert not page.evaluate("document.getElementById('changes').open")


def test_another_tab_shows_what_this_one_taught(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        given = [{"photo": 1, "kind": "none"}]
        body = {"question": "", "view": "map", "marks": given, "seen": []}
        with urlopen(Request(f"{url}answer", json.dumps(body).encode())):
            pass
        page.wait_for("document.getElementById('estimate').innerText.startsWith('68')")


def test_the_page_learns_once_new_answers_come_after_the_last_group(page: Page) -> None:
    review = FakeReview(groups=5, delay=1.0)
    with serving(review) as url:
        open_page(page, url, ["2"])
        assert is_shown(page, "end")
        review.groups = 9
        page.wait_for("document.querySelectorAll('.tile').length === 12")


# No dead end


def test_every_end_leads_on(page: Page) -> None:
    with serving(FakeReview(step=8)) as url:
        open_page(page, url)
        assert text(page, "end").startswith("All groups are named.")
        offered = "[...document.querySelectorAll('#end button')].filter((one) => one.offsetParent)"
        assert page.evaluate(f"{offered}.map((one) => one.dataset.key).join('')") == "mox"
        assert focused(page) == "All groups are named."
        press(page, ["o"])
        assert len(photos(page)) == 12


def test_finish_writes_the_run_and_shows_the_next_commands(page: Page) -> None:
    review = FakeReview(step=7)
    with serving(review) as url:
        open_page(page, url, ["x"])
        assert text(page, "headline") == "Done. About 74 % of the labels are right."
        assert "a good place to stop" in text(page, "trust")
        assert text(page, "written") == "All labels are saved in adapted/mineralien-6f9a."
        assert "latte predict adapted/mineralien-6f9a photos --sort-into sorted" in text(
            page, "ways"
        )
        assert page.evaluate("document.querySelectorAll('#piles li img').length") == 21
        press(page, ["n"])
        assert page.evaluate("document.body.dataset.view") == "groups"
        assert is_shown(page, "estimate")


def test_photos_of_each_class_are_shown_also_if_no_run_can_be_written(page: Page) -> None:
    with serving(FakeReview(step=7, fails="all labels are of one class")) as url:
        open_page(page, url, ["x"])
        assert text(page, "error").startswith("all labels are of one class")
        assert page.evaluate("document.querySelectorAll('#piles li img').length") == 21


BUTTON = "document.querySelector('[data-output=sorted]')"


def test_finish_names_a_place_writes_there_and_refuses_what_is_there(page: Page) -> None:
    review = FakeReview(step=7)
    with serving(review) as url:
        open_page(page, url, ["x"])
        assert page.evaluate(f"{BUTTON}.innerText") == "Write to photos-sorted"
        assert review.written == []
        page.evaluate(f"{BUTTON}.click()")
        settle(page)
        assert review.written == ["sorted"]
        assert page.evaluate(f"{BUTTON}.innerText") == "Written to photos-sorted"
        assert page.evaluate(f"{BUTTON}.disabled")
        open_page(page, url, ["x"])  # this page has not written it
        page.evaluate(f"{BUTTON}.click()")
        settle(page)
        assert text(page, "error") == (
            "photos-sorted: something is here already; remove or rename it"
        )
        assert not page.evaluate(f"{BUTTON}.disabled")


def test_answers_that_were_there_before_are_counted_once_at_the_start(page: Page) -> None:
    with serving(FakeReview(earlier=43)) as url:
        open_page(page, url)
        assert text(page, "line").startswith("43 earlier answers used.")
        press(page, ["3"])
        assert "earlier" not in text(page, "line")


# Faults


def test_an_answer_that_is_not_saved_stays_until_it_is(page: Page) -> None:
    review = FakeReview(error=FULL)
    with serving(review) as url:
        open_page(page, url)
        shown = photos(page)
        press(page, ["b", "2"])
        line = "Not saved: review.jsonl: no space left on device; free some space"
        assert text(page, "error") == line
        assert (photos(page), review.saved) == (shown, [])
        assert page.evaluate("document.querySelectorAll('[data-mark=out]').length") == 1
        review.error = None
        page.evaluate("document.getElementById('again').click()")
        settle(page)
        assert not is_shown(page, "failure")
        assert marks(review) == dict.fromkeys(shown, 1) | {shown[1]: "unsure"}


def test_a_server_that_is_gone_is_said_and_its_return_saves_the_answer(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        shown = photos(page)
        port = int(re.findall(r":(\d+)/", url)[0])
    page.wait_for("document.getElementById('failure').hidden === false")
    assert text(page, "error") == "latte does not answer. All answers are saved."
    press(page, ["2"])
    assert text(page, "error").startswith("Not saved: latte does not answer. Your answer is kept")
    assert photos(page) == shown
    with serving(review, port):
        page.wait_for("document.getElementById('failure').hidden", seconds=30)
        assert marks(review) == dict.fromkeys(shown, 1)
        page.visit("about:blank")


def test_photos_that_are_gone_are_closed_and_get_no_answer(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        shown = photos(page)
        review.gone = {*shown[:2]}
        open_page(page, url)
        page.wait_for("document.querySelectorAll('[data-mark=gone]').length === 2")
        assert focused(page) != "BODY"
        press(page, ["a", "1"])
        assert [*marks(review)] == shown[2:]
        assert review.saved[0]["seen"] == shown[2:]


def test_a_question_without_a_picture_is_skipped(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        (photo,) = review.question("measure")["question"]["photos"]
        review.gone = {photo["index"]}
        open_page(page, url, ["m"])
        page.wait_for(f"document.querySelector('.tile').dataset.photo !== '{photo['index']}'")
        assert review.saved == []


def test_a_fit_that_fails_is_one_line_and_is_tried_again(page: Page) -> None:
    review = FakeReview(fails="not enough memory")
    with serving(review) as url:
        open_page(page, url, ["2"])
        page.wait_for("!document.getElementById('failure').hidden")
        line = "Your answers are saved, but not learnt: not enough memory; close other programs"
        assert text(page, "error") == line
        assert not is_shown(page, "learning")
        page.evaluate("document.getElementById('again').click()")
        settle(page)
        assert text(page, "estimate").startswith("68")
        assert not is_shown(page, "failure")


# Focus, phones, motion, policy


def test_focus_returns_to_the_first_photo_after_each_answer(page: Page) -> None:
    page.show(1280)
    with serving(FakeReview()) as url:
        open_page(page, url)
        for keys in (["1"], ["m"], ["1"], ["o"], ["y"], ["c", "1"], ["u"], ["n"], ["s"]):
            press(page, keys)
            assert focused(page) == str(photos(page)[0]), keys
        page.evaluate("document.querySelectorAll('.class')[2].focus()")
        press(page, ["Enter"])
        assert focused(page) == str(photos(page)[0])
        press(page, ["v"])
        assert focused(page) == "over"


def test_the_page_is_used_by_tab_and_enter_alone(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        shown = photos(page)
        press(page, ["Enter"])  # leaves out the first photo, which has the focus
        for _ in range(40):
            page.press("Tab")
            if page.evaluate("document.activeElement.matches('.class')"):
                break
        press(page, ["Enter"])
        assert marks(review) == dict.fromkeys(shown, 0) | {shown[0]: "unsure"}


def test_a_phone_taps_and_nothing_is_wider_than_its_screen(page: Page) -> None:
    page.show(390, height=844)
    review = FakeReview()
    with serving(review) as url:
        for keys in (["m"], ["o"], ["v"], ["x"], ["n"]):
            open_page(page, url, keys)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            small = (
                "[...document.querySelectorAll('button, input')]"
                ".filter((one) => one.offsetParent && one.offsetHeight < 44)"
                ".map((one) => one.innerText || one.id)"
            )
            assert page.evaluate(small) == []
            assert page.evaluate(
                "[...document.querySelectorAll('kbd')].every((one) => !one.offsetParent)"
            )
        shown = photos(page)
        page.tap(f"[data-photo='{shown[2]}']")
        page.wait_for("document.querySelectorAll('[data-mark=out]').length === 1")
        page.tap(".class:nth-child(2)")
        settle(page)
        page.wait_for("document.getElementById('estimate').innerText.startsWith('68')")
        assert marks(review) == dict.fromkeys(shown, 1) | {shown[2]: "unsure"}
        assert page.complaints() == []
    page.show(1280)


def test_nothing_moves_for_those_who_asked_for_less_motion(page: Page) -> None:
    page.show(1280)
    moving = (
        "[...document.querySelectorAll('*')].map((one) => getComputedStyle(one))"
        ".filter((one) => one.animationName !== 'none' || one.transitionDuration !== '0s').length"
    )
    with serving(FakeReview()) as url:
        open_page(page, url)
        assert page.evaluate(moving) > 0
        reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
        page.call("Emulation.setEmulatedMedia", features=[reduced])
        assert page.evaluate(moving) == 0
    page.show(1280)


def test_the_page_has_no_inline_script_or_style() -> None:
    folder = files("latte.review").joinpath("page")
    markup = folder.joinpath("page.html").read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*src=)", markup)
    scripts = [file for file in folder.iterdir() if file.name.endswith(".js")]
    for script in scripts:
        assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML|eval\(", script.read_text())


# Accessibility

STATES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "start": ({"step": 0, "random_answers": 0}, []),
    "groups": ({}, ["k", "J", "5"]),
    "named class": ({"asks_for": 4}, ["c"]),
    "measure": ({"frozen": True}, ["m"]),
    "doubtful": ({}, ["o", "a", "2", "c"]),
    "map": ({}, ["v", "ArrowRight", " ", "+"]),
    "finish": ({"step": 7}, ["x"]),
    "forty classes": ({"names": [*FORTY]}, []),
    "search": ({"names": [*FORTY]}, ["/", "g"]),
    "end": ({"step": 8}, []),
    "not saved": ({"error": FULL}, ["2"]),
    "photos gone": ({"gone": {*range(0, 423, 3)}}, []),
    "keys": ({}, ["?"]),
    "class names": ({}, ["t"]),
    "full size": ({}, ["z"]),
}


@pytest.mark.parametrize("dark", [False, True])
@WIDTHS
def test_every_state_keeps_the_rules_of_axe_core(page: Page, width: int, dark: bool) -> None:
    script = axe_script()
    if script is None:
        pytest.skip("neither npm nor axe-core-python gives axe-core")
    page.show(width, dark=dark)
    rules = json.dumps({"runOnly": [*TAGS]})
    report = (
        f"axe.run({rules}).then((found) => found.violations"
        ".map((one) => [one.id, ...one.nodes.map((node) => node.target.join(' '))]))"
    )
    violations = {}
    for name, (options, keys) in STATES.items():
        with serving(FakeReview(**options)) as url:
            open_page(page, url, keys)
            page.evaluate(f"{script}; 0")
            violations[name] = page.call(
                "Runtime.evaluate", expression=report, awaitPromise=True, returnByValue=True
            )["result"]["value"]
            page.visit("about:blank")
    page.show(1280)
    assert {name: ids for name, ids in violations.items() if ids} == {}
