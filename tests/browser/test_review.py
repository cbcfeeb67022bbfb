"""The review page in a real browser: keys, undo, touch, errors, hostile names."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from latte.review.opening import redirecting_file
from latte.review.session import Mark, Review
from latte.review.tasks import TaskPlace
from tests.browser.review_page import (
    MANY,
    NAMES,
    WIDTHS,
    answers_saved,
    is_shown,
    kinds,
    open_task,
    press,
    rows,
    search,
    text,
)
from tests.helpers.chromium import NEEDS_BROWSER, Page
from tests.helpers.reviews import made_up_review, served, without

pytestmark = NEEDS_BROWSER
AXE = find_spec("axe_core_python")


# Classes, keys and the field to type


def test_twelve_classes_have_fixed_keys_that_no_other_command_uses(
    page: Page, tmp_path: Path
) -> None:
    names = [f"class {number}" for number in range(12)]
    review = made_up_review(tmp_path, names)
    with served(review) as url:
        open_task(page, url, "m")
        script = "[...document.querySelectorAll('#options button')].map(one => one.innerText)"
        assert page.evaluate(script) == [
            f"{key} {name}" for key, name in zip("123456789pqr", names, strict=True)
        ]
        assert not is_shown(page, "naming")
        press(page, ["1", "9", "p", "r"])
        labels = [answer.label for answer in review.answers().values()]
        assert labels == ["class 0", "class 8", "class 9", "class 11"]
        keys = page.evaluate(
            "[...document.querySelectorAll('main kbd, header kbd')].map(one => one.innerText)"
        )
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("typed", "saved"),
    [("shirts", "shirts"), ("SHIR", "shirts"), ("t-s", "T-Shirts"), ("night s", "Night_Shirts")],
)
@pytest.mark.parametrize(("task", "count"), [("m", 1), ("n", 12)])
def test_enter_saves_the_nearest_name_which_stands_beside_the_field(
    page: Page, tmp_path: Path, task: str, count: int, typed: str, saved: str
) -> None:
    review = made_up_review(tmp_path, MANY)
    page.show(1280)
    with served(review) as url:
        open_task(page, url, task)
        assert page.evaluate("document.querySelectorAll('#options button').length") <= 9
        search(page, typed)
        assert text(page, "pick") == f"Enter saves “{saved}”"
        page.wait_for(
            "['search', 'pick'].map((id) => document.getElementById(id).getBoundingClientRect())"
            ".every((box) => box.top >= 0 && box.bottom <= innerHeight)",
            seconds=2,
        )
        page.press("Enter")
        answers_saved(page, review, count)
        assert {answer.label for answer in review.answers().values()} == {saved}
        search(page, "zebra")
        assert text(page, "pick").startswith("no class")


def test_keys_pressed_while_an_answer_is_saved_wait_for_it(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = made_up_review(tmp_path, MANY)
    save = review.save

    def slow(*arguments: Any) -> str:
        time.sleep(0.15)
        return save(*arguments)

    monkeypatch.setattr(review, "save", slow)
    upcoming = [images[0].key for images in review.questions(TaskPlace(task="evidence"))]
    with served(review) as url:
        open_task(page, url, "m")
        for key in "110-1":
            page.press(key)
            time.sleep(0.04)
        search(page, "skirts")
        page.press("Enter")
        answers_saved(page, review, 6)
        answers = review.answers()
        assert [*answers] == upcoming[:6]
        assert kinds(review) == ["class", "class", "none", "unsure", "class", "class"]
        assert answers[upcoming[5]].label == "skirts"
        for key in "1uu":
            page.press(key)
        answers_saved(page, review, 5)
        page.wait_for("document.getElementById('gain').textContent.startsWith('After 4 answers')")
        assert page.complaints() == []


def test_clicks_while_an_answer_is_saved_wait_for_it(
    page: Page, review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = review.save

    def slow(*arguments: Any) -> str:
        time.sleep(0.15)
        return save(*arguments)

    monkeypatch.setattr(review, "save", slow)
    with served(review) as url:
        open_task(page, url, "m")
        page.evaluate("for (let i = 0; i < 3; i++) find('none').click()")
        answers_saved(page, review, 3)


def test_a_key_held_down_is_one_answer(page: Page, review: Review) -> None:
    with served(review) as url:
        open_task(page, url, "m")
        page.press("1", held=5)
        answers_saved(page, review, 1)


# Zoom, undo, and images that cannot be shown


@WIDTHS
def test_an_image_is_enlarged_by_key_and_by_click(page: Page, review: Review, width: int) -> None:
    page.show(width)
    with served(review) as url:
        open_task(page, url, "m")
        name = text(page, "name")
        page.press("z")
        page.wait_for("find('zoomed').open && find('zoomed-image').naturalWidth")
        assert text(page, "zoomed-name") == name
        page.press("1")  # an answer needs the page below
        page.press("Escape")
        page.wait_for("!find('zoomed').open")
        page.evaluate("find('image').click()")
        page.wait_for("find('zoomed').open")
        page.press("z")
        assert review.answers() == {}
        open_task(page, url)
        page.evaluate("document.querySelectorAll('#sheet figure')[2].lastChild.click()")
        page.press("ArrowRight")
        page.press("l")
        page.press("ArrowLeft")
        images = page.evaluate("state.question.images.map((image) => image.name)")
        assert text(page, "zoomed-name") == images[10]
        page.press("z")
        assert not page.evaluate("find('zoomed').open")


def test_undo_goes_back_over_tasks_and_after_a_reload(page: Page, review: Review) -> None:
    with served(review) as url:
        open_task(page, url)
        press(page, ["1"])
        grid = {f"key {row}": "cat" for row in rows(page)}
        press(page, ["2"])
        open_task(page, url, "m")
        press(page, ["3"])
        press(page, ["u", "u"])
        assert page.evaluate("state.task") == "clusters"
        assert len(review.answers()) == 12
        press(page, ["1"])
        assert (
            grid.items() <= {key: answer.label for key, answer in review.answers().items()}.items()
        )
        press(page, ["u", "u"])
        assert review.answers() == {}
        assert page.evaluate("find('undo').disabled")


def test_undo_of_a_correction_gives_back_the_answer_before(page: Page, review: Review) -> None:
    image = min(review.images, key=lambda image: image.used_confidence)
    with served(review) as url:
        open_task(page, url)
        for _ in NAMES:  # no group has a name
            press(page, ["-"])
        answer_before = review.answers()[image.key]
        page.press("o")
        page.wait_for("state.task === 'images' && !busy")
        press(page, ["a", "5"])
        assert review.answers()[image.key].label == "fish"
        press(page, ["u"])
        assert review.answers()[image.key] == answer_before


def test_an_image_that_cannot_be_shown_gets_no_class(page: Page, review: Review) -> None:
    with served(review) as url:
        open_task(page, url)
        group = rows(page)
        open_task(page, url, "o")
        sheet = rows(page)
    gone = {group[1], sheet[1]}
    with served(review, without(*map(int, gone))) as url:
        open_task(page, url)
        page.wait_for("document.querySelectorAll('#sheet [data-row]:disabled').length > 0")
        press(page, ["b", "1"])
        assert review.answers()[f"key {group[1]}"].kind == "unsure"
        open_task(page, url, "o")
        page.wait_for("document.querySelectorAll('#sheet [data-row]:disabled').length > 0")
        press(page, ["y"])
        assert not gone & {*rows(page)}
    assert all(review.answers().get(f"key {row}") is None for row in gone - {*group})


# Small screens, other tabs, errors


def test_a_phone_shows_all_without_scrolling_sideways(page: Page, review: Review) -> None:
    page.show(390)
    with served(review) as url:
        for key, count in (("m", 1), ("n", 13), ("o", 13)):
            open_task(page, url, key)
            page.tap("#options button")
            answers_saved(page, review, count)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            small = page.evaluate(
                "[...document.querySelectorAll('button, select, input')]"
                ".filter(one => one.offsetHeight && one.offsetHeight < 44).length"
            )
            assert small == 0
        page.tap("#sheet figure:nth-child(3) [data-row]")
        page.wait_for("document.querySelectorAll('#sheet [aria-pressed=true]').length === 1")
        third = rows(page)[2]
        page.tap("#options button")
        answers_saved(page, review, 14)
        assert review.answers()[f"key {third}"].label == "cat"
        assert page.complaints() == []
    page.show(1280)


def test_names_are_text_and_never_markup(page: Page, tmp_path: Path) -> None:
    review = made_up_review(tmp_path, [f"<b>{name}</b>" for name in MANY])
    with served(review) as url:
        open_task(page, url, "m")
        search(page, "skirts")
        assert page.evaluate("find('found').firstChild.textContent") == "<b>skirts</b>"
        open_task(page, url, "o")
        assert page.evaluate("document.querySelectorAll('b > b').length") == 0


def test_a_reload_goes_on_and_a_second_tab_loses_nothing(page: Page, review: Review) -> None:
    last_key = review.population.images[-1].key
    with served(review) as url:
        open_task(page, url, "m")
        review.save("evidence", [Mark(last_key, "none")])
        press(page, ["1"])
        open_task(page, url, "m")
        assert len(review.answers()) == 2


def test_a_damaged_file_of_answers_is_one_line_and_the_page_goes_on_after_its_repair(
    page: Page, review: Review
) -> None:
    with served(review) as url:
        open_task(page, url, "m")
        review.file.write_text("{}\n")
        press(page, ["1"])
        line = text(page, "error")
        assert line.startswith(f"Not saved: {review.file}:1: this file is damaged")
        page.visit(url)
        page.wait_for("!document.getElementById('error').hidden")
        assert text(page, "error") in line
        review.file.write_text("")
        open_task(page, url, "m")
        press(page, ["1"])
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
        open_task(page, url, "m")
        rows_before = rows(page)
    press(page, ["1"])
    assert text(page, "error") == "Not saved: the server does not answer"
    assert rows(page) == rows_before


@pytest.mark.skipif(AXE is None, reason="axe-core-python is not installed")
@pytest.mark.parametrize("dark", [False, True])
@WIDTHS
def test_every_task_is_accessible_by_the_rules_of_axe_core(
    page: Page, tmp_path: Path, width: int, dark: bool
) -> None:
    review = made_up_review(tmp_path / "run", MANY, images=400)
    taught = made_up_review(tmp_path / "taught", MANY, images=400)
    labels = taught.run.folder.pseudo_labels
    labels.write_text(labels.read_text().replace(",shirts,shirts,", ",shirts,skirts,"))
    page.show(width, dark=dark)
    assert AXE is not None
    assert AXE.origin is not None
    script = Path(AXE.origin).with_name("axe.min.js").read_text()
    violations = {}
    with served(review, teach=lambda progress: (taught.run.folder.path, ["Better."])) as url:
        for keys in (["n"], ["m"], ["o", "b"], ["m", "z"], ["o", "a", "1", "t"]):
            open_task(page, url, keys[0])
            press(page, keys[1:])
            page.wait_for("!teaching")
            page.evaluate(f"{script}; 0")
            report = "axe.run().then((found) => found.violations.map((one) => one.id))"
            violations[json.dumps(keys)] = page.call(
                "Runtime.evaluate", expression=report, awaitPromise=True, returnByValue=True
            )["result"]["value"]
    page.show(1280)
    assert {keys: ids for keys, ids in violations.items() if ids} == {}
