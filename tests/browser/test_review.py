"""The review page in a real browser: by keyboard, by touch, with hostile names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from latte.review.opening import redirecting_file
from latte.review.session import Review
from tests.helpers.chromium import FOUND, Page, chromium
from tests.helpers.reviews import made_up_review, served, without

NAMES = ("cat", "dog", "<b>bird</b>", "a " + "very " * 20 + "long name", "fish")

AXE = find_spec("axe_core_python")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOUND, reason="no Chromium or Chrome is installed"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path, NAMES)


def row(page: Page) -> str:
    return str(page.evaluate("document.getElementById('image').getAttribute('src')"))


def ready(page: Page, url: str) -> None:
    page.visit(url)
    page.wait_for("document.querySelectorAll('#options button').length > 0")


def asked_anew(page: Page, before: str) -> None:
    page.wait_for(f"document.getElementById('image').getAttribute('src') !== {before!r}")


CLOTHES = ("T-Shirts", "shirts", "skirts", "Night_Shirts", "shirts of wool")


def search(page: Page, text: str) -> None:
    page.press("/")
    for letter in text:
        page.press(letter)


@pytest.mark.parametrize(
    ("typed", "saved"),
    [("shirts", "shirts"), ("SHIR", "shirts"), ("t-s", "T-Shirts"), ("night s", "Night_Shirts")],
)
@pytest.mark.parametrize("task", ["evidence", "clusters"])
def test_enter_saves_the_nearest_name_which_stands_beside_the_field(
    page: Page, tmp_path: Path, task: str, typed: str, saved: str
) -> None:
    review = made_up_review(tmp_path, CLOTHES)
    page.show(1280)
    with served(review) as url:
        ready(page, url)
        choose(page, task)
        page.wait_for(f"state.queue === {task!r}")
        search(page, typed)
        assert page.evaluate("document.getElementById('pick').textContent") == (
            f"Enter saves “{saved}”"
        )
        page.wait_for(
            "['search', 'pick'].map((id) => document.getElementById(id).getBoundingClientRect())"
            ".every((box) => box.top >= 0 && box.bottom <= innerHeight)",
            seconds=2,
        )
        page.press("Enter")
        answers_saved(page, review, 1 if task == "evidence" else 12)
        assert {one.label for one in review.answers().values()} == {saved}
        search(page, "zebra")
        assert page.evaluate("document.getElementById('pick').textContent").startswith("no class")


def answers_saved(page: Page, review: Review, count: int, seconds: float = 20) -> None:
    """Wait until the review has `count` answers and the page shows the next question."""
    end = time.monotonic() + seconds
    while len(review.answers()) != count and time.monotonic() < end:
        time.sleep(0.02)
    page.wait_for("!busy")
    assert len(review.answers()) == count


def test_keys_pressed_while_an_answer_is_saved_wait_for_it(
    page: Page, review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = review.answer

    def slow(*given: Any) -> None:
        time.sleep(0.15)
        save(*given)

    monkeypatch.setattr(review, "answer", slow)
    asked = [one.images[0].key for one in review.upcoming(7)]
    with served(review) as url:
        ready(page, url)
        for key in "110-1":
            page.press(key)
            time.sleep(0.04)
        search(page, "fish")
        page.press("Enter")
        answers_saved(page, review, 6)
        found = review.answers()
        assert [*found] == asked[:6]
        kinds = [one.kind for one in found.values()]
        assert kinds == ["class", "class", "none", "unsure", "class", "class"]
        assert found[asked[5]].label == "fish"
        for key in "1uu":
            page.press(key)
        answers_saved(page, review, 5)
        page.wait_for("document.getElementById('gain').textContent.startsWith('After 4 answers')")
        assert page.complaints() == []


def test_a_key_held_down_is_one_answer(page: Page, review: Review) -> None:
    with served(review) as url:
        ready(page, url)
        page.press("1", held=5)
        answers_saved(page, review, 1)


def test_keys_work_after_a_task_was_chosen_and_after_a_search(page: Page, review: Review) -> None:
    page.show(1280)
    with served(review) as url:
        ready(page, url)
        page.evaluate("document.getElementById('queue').focus()")
        choose(page, "clusters")
        page.press("1")
        answers_saved(page, review, 12)
        search(page, "fish")
        page.press("Enter")
        page.press("1")
        answers_saved(page, review, 36)
        assert {one.queue for one in review.answers().values()} == {"clusters"}


def test_a_phone_shows_all_without_scrolling_sideways(page: Page, review: Review) -> None:
    page.show(390)
    with served(review) as url:
        ready(page, url)
        before = row(page)
        page.tap("#options button")
        asked_anew(page, before)
        assert len(review.answers()) == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        small = page.evaluate(
            "[...document.querySelectorAll('button, select, input')]"
            ".filter(one => one.offsetHeight && one.offsetHeight < 44).length"
        )
        assert small == 0
        assert page.complaints() == []


def sheet_ready(page: Page, url: str) -> None:
    ready(page, url)
    choose(page, "clusters")
    page.wait_for("document.querySelectorAll('#sheet button').length > 0")
    page.wait_for("[...document.querySelectorAll('#sheet img')].every(one => one.naturalWidth)")


def choose(page: Page, queue: str) -> None:
    page.evaluate(f"document.getElementById('queue').value = {queue!r}")
    page.evaluate("document.getElementById('queue').dispatchEvent(new Event('change'))")


def sheet(page: Page) -> list[str]:
    rows = "[...document.querySelectorAll('#sheet button')].map(one => one.dataset.row)"
    return [str(one) for one in page.evaluate(rows)]


def other_sheet(page: Page, before: list[str]) -> None:
    first = "(document.querySelector('#sheet button') || {dataset: {}}).dataset.row"
    page.wait_for(f"{first} !== {before[0]!r}")


def test_a_sheet_is_named_mixed_and_undone_by_keyboard(page: Page, review: Review) -> None:
    page.show(1280)
    with served(review) as url:
        sheet_ready(page, url)
        assert page.evaluate("document.getElementById('image').offsetHeight") == 0
        first = sheet(page)
        for key in ("b", "c", "c"):
            page.press(key)
        page.press("1")
        other_sheet(page, first)
        kinds = [one.kind for one in review.answers().values()]
        assert sorted(kinds) == ["class"] * 11 + ["unsure"]
        step = page.evaluate("document.getElementById('next').textContent")
        assert step.startswith("11 answers teach; next step: latte review ")
        assert step.endswith(" --learn")
        second = sheet(page)
        page.press("-")
        other_sheet(page, second)
        assert sum(one.kind == "unsure" for one in review.answers().values()) == 13
        third = sheet(page)
        page.press("u")
        other_sheet(page, third)
        assert sheet(page) == second
        page.press("0")
        other_sheet(page, second)
        assert sum(one.kind == "none" for one in review.answers().values()) == 12
        assert page.evaluate("document.getElementById('progress').textContent").startswith("2 ")
        assert page.complaints() == []


def test_a_phone_shows_a_sheet_and_deselects_by_touch(page: Page, review: Review) -> None:
    page.show(390)
    with served(review) as url:
        sheet_ready(page, url)
        first = sheet(page)
        page.tap("#sheet button:nth-child(3)")
        page.wait_for("document.querySelectorAll('#sheet [aria-pressed=false]').length === 1")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.tap("#options button")
        other_sheet(page, first)
        left = [one.key for one in review.answers().values() if one.kind == "unsure"]
        assert left == [f"key {first[2]}"]
        assert page.complaints() == []


def test_an_image_that_cannot_be_shown_is_never_selected(page: Page, review: Review) -> None:
    page.show(1280)
    with served(review) as url:
        sheet_ready(page, url)
        first = sheet(page)
    with served(review, without(int(first[1]))) as url:
        ready(page, url)
        choose(page, "clusters")
        page.wait_for("document.querySelectorAll('#sheet button:disabled').length === 1")
        page.press("b")
        page.press("1")
        other_sheet(page, first)
    answers = review.answers()
    assert [one for one in first if answers[f"key {one}"].kind == "unsure"] == [first[1]]


def test_single_images_return_after_a_sheet(page: Page, review: Review) -> None:
    page.show(1280)
    with served(review) as url:
        sheet_ready(page, url)
        choose(page, "images")
        page.wait_for("document.getElementById('image').offsetHeight > 0")
        assert sheet(page) == []
        before = row(page)
        page.press("1")
        asked_anew(page, before)
        (one,) = review.answers().values()
        assert one.queue == "images"


def test_names_are_text_and_never_markup(page: Page, review: Review) -> None:
    page.show(1280)
    with served(review) as url:
        ready(page, url)
        page.evaluate("document.getElementById('search').value = 'bird'")
        page.evaluate("document.getElementById('search').dispatchEvent(new Event('input'))")
        assert page.evaluate("document.querySelector('#found button').textContent") == NAMES[2]
        assert page.evaluate("document.querySelectorAll('b').length") == 0


def test_a_reload_goes_on_and_a_second_tab_loses_nothing(page: Page, review: Review) -> None:
    with served(review) as url:
        ready(page, url)
        review.answer([review.population.images[-1].key], "none", None, "evidence")
        before = row(page)
        page.press("1")
        asked_anew(page, before)
        ready(page, url)
        assert len(review.answers()) == 2


def test_a_damaged_file_of_answers_is_one_line_and_the_page_goes_on_after_its_repair(
    page: Page, review: Review
) -> None:
    with served(review) as url:
        ready(page, url)
        review.file.write_text("{}\n")
        page.press("1")
        page.wait_for("!document.getElementById('error').hidden")
        line = page.evaluate("document.getElementById('error').textContent")
        assert line.startswith(f"Not saved: {review.file}:1: this file is damaged")
        page.visit(url)
        page.wait_for("!document.getElementById('error').hidden")
        assert page.evaluate("document.getElementById('error').textContent") in line
        review.file.write_text("")
        ready(page, url)
        page.press("1")
        answers_saved(page, review, 1)


def test_a_browser_reaches_the_page_through_the_private_file(
    page: Page, review: Review, tmp_path: Path
) -> None:
    with served(review) as url, redirecting_file(tmp_path, url) as file:
        page.open(file)
        page.wait_for(f"location.href === {url!r}")
        page.wait_for("document.querySelectorAll('#options button').length > 0")


def test_a_server_that_is_gone_is_said_and_the_question_stays(page: Page, review: Review) -> None:
    with served(review) as url:
        ready(page, url)
        before = row(page)
    page.press("1")
    page.wait_for("!document.getElementById('error').hidden")
    assert row(page) == before


@pytest.mark.skipif(AXE is None, reason="axe-core-python is not installed")
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_every_task_is_accessible_by_the_rules_of_axe_core(
    page: Page, tmp_path: Path, width: int, dark: bool
) -> None:
    review = made_up_review(tmp_path, NAMES, images=400)
    page.show(width, dark=dark)
    assert AXE is not None
    assert AXE.origin is not None
    script = Path(AXE.origin).with_name("axe.min.js").read_text()
    found = {}
    with served(review) as url:
        for queue in review.queues:
            ready(page, url)
            choose(page, queue)
            page.wait_for("!busy")
            page.evaluate(f"{script}; 0")
            report = "axe.run().then((found) => found.violations.map((one) => one.id))"
            found[queue] = page.call(
                "Runtime.evaluate", expression=report, awaitPromise=True, returnByValue=True
            )["result"]["value"]
    assert found == {queue: [] for queue in review.queues}
