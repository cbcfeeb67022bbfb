"""The review page with its real server, on a made-up run: what is saved, faults, hostile names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latte.results.run import open_run
from latte.review.opening import redirecting_file
from latte.review.session import Mark, Review
from tests.browser.review_page import (
    WIDTHS,
    focused,
    is_shown,
    open_page,
    photos,
    press,
    text,
)
from tests.helpers.chromium import NEEDS_BROWSER, Page
from tests.helpers.limits import LIMITS, largest_file
from tests.helpers.reviews import keep_zero_shot, made_up_review, served, with_series, without

pytestmark = NEEDS_BROWSER

NAMES = ("cat", "dog", "<b>bird</b>", "a " + "very " * 20 + "long name", "fish")


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path / "run", NAMES)


def kinds(review: Review) -> list[str]:
    return [answer.kind for answer in review.answers().values()]


@WIDTHS
def test_groups_are_named_and_undone_by_keyboard(page: Page, review: Review, width: int) -> None:
    page.show(width)
    with served(review) as url:
        open_page(page, url)
        first = photos(page)
        press(page, ["b", "c", "c", "c", "5"])
        assert sorted(kinds(review)) == ["class"] * 11 + ["unsure"]
        assert review.answers()[f"key {first[1]}"].kind == "unsure"
        assert focused(page) == str(photos(page)[0])
        press(page, ["4"])  # answers teach once they name two classes
        page.wait_for("document.getElementById('line').innerText.includes('changed')")
        press(page, ["-"])
        third = photos(page)
        press(page, ["0"])
        assert kinds(review).count("none") == 12
        press(page, ["u"])
        assert photos(page) == third
        assert "none" not in kinds(review)
        assert page.complaints() == []
        page.visit("about:blank")
    page.show(1280)


def test_random_photos_and_doubtful_labels_are_saved(page: Page, review: Review) -> None:
    with served(review) as url:
        open_page(page, url, ["m"])
        shown = []
        for key in ("1", "0", "-", "5"):
            shown += photos(page)
            press(page, [key])
        assert [*review.answers()] == [f"key {photo}" for photo in shown]
        assert kinds(review) == ["class", "none", "unsure", "class"]
        press(page, ["o"])
        sheet = photos(page)
        press(page, ["c", "d", "2"])
        assert {review.answers()[f"key {photo}"].label for photo in sheet[2:4]} == {"dog"}
        assert photos(page) == sheet
        press(page, ["y"])
        assert len(review.answers()) == 16
        assert not {*sheet} & {*photos(page)}
        press(page, ["u", "u", "u"])
        assert [*review.answers()] == [f"key {photo}" for photo in shown[:3]]
        assert page.evaluate("document.body.dataset.view") == "measure"
        page.visit("about:blank")


def test_a_reload_goes_on_and_a_second_person_loses_nothing(page: Page, review: Review) -> None:
    last_key = review.population.images[-1].key
    with served(review) as url:
        open_page(page, url, ["m"])
        review.save("evidence", [Mark(last_key, "none")])
        press(page, ["1"])
        open_page(page, url, ["m"])
        assert len(review.answers()) == 2
        page.visit("about:blank")


def test_the_page_says_how_many_more_photos_a_series_has(page: Page, review: Review) -> None:
    series = with_series(review.run.folder.path, [number // 4 for number in range(200)])
    with served(series) as url:
        open_page(page, url, ["o"])
        assert text(page, "tiles").count("+ 3") == 12
        page.press("z")
        page.wait_for("document.getElementById('zoom').open")
        assert text(page, "zoom-title").endswith(".jpg + 3 more")
        page.visit("about:blank")


def test_a_link_opens_the_labels_of_one_class(page: Page, tmp_path: Path) -> None:
    review = made_up_review(tmp_path / "run", ("a b", "ä#ö", "c"))
    with served(review) as url:
        open_page(page, f"{url}#%C3%A4%23%C3%B6")
        labels = "[...document.querySelectorAll('.tile')].map((one) => one.photo.label)"
        assert {*page.evaluate(labels)} == {1}
        press(page, ["y"])
        assert {*page.evaluate(labels)} == {1}
        page.visit("about:blank")


def test_a_run_that_kept_zero_shot_shows_the_labels_of_its_file(page: Page, tmp_path: Path) -> None:
    made_up_review(tmp_path / "run", NAMES)
    keep_zero_shot(tmp_path / "run")
    review = Review(open_run(tmp_path / "run"))
    with served(review) as url:
        open_page(page, url, ["o"])
        labels = "[...document.querySelectorAll('.tile')].map((one) => one.photo.label)"
        used = review.run.rows.pseudo_labels.adapted
        assert page.evaluate(labels) == [used[photo] for photo in photos(page)]
        page.visit("about:blank")


def test_names_are_text_and_never_markup(page: Page, review: Review) -> None:
    with served(review) as url:
        open_page(page, url, ["o"])
        assert "<b>bird</b>" in text(page, "classes")
        assert page.evaluate("document.querySelectorAll('.name *, .label *').length") == 0
        assert page.complaints() == []
        page.visit("about:blank")


def test_photos_that_are_gone_get_no_answer(page: Page, review: Review) -> None:
    with served(review) as url:
        open_page(page, url)
        shown = photos(page)
        page.visit("about:blank")
    with served(review, picture=without(*shown[:2])) as url:
        open_page(page, url)
        page.wait_for("document.querySelectorAll('[data-mark=gone]').length === 2")
        press(page, ["1"])
        assert [*review.answers()] == [f"key {photo}" for photo in shown[2:]]
        page.visit("about:blank")


def test_a_damaged_file_of_answers_is_one_line_and_the_page_goes_on_after_its_repair(
    page: Page, review: Review
) -> None:
    with served(review) as url:
        open_page(page, url, ["m"])
        review.file.write_text("{}\n")
        press(page, ["1"])
        assert text(page, "error").startswith(f"Not saved: {review.file}:1: this file is damaged")
        review.file.write_text("")
        page.evaluate("document.getElementById('again').click()")
        page.wait_for("document.getElementById('failure').hidden")
        assert len(review.answers()) == 1
        page.visit("about:blank")


@LIMITS
def test_answers_that_cannot_be_saved_stay_on_the_page(page: Page, review: Review) -> None:
    with served(review) as url:
        open_page(page, url, ["o"])
        shown = photos(page)
        with largest_file(100):
            press(page, ["c", "2"])
        assert text(page, "error").startswith(f"Not saved: {review.file}: cannot be written: file")
        assert (photos(page), review.answers()) == (shown, {})
        press(page, ["2"])  # the photo is still chosen
        assert not is_shown(page, "failure")
        assert [*review.answers()] == [f"key {shown[2]}"]
        page.visit("about:blank")


def test_a_browser_reaches_the_page_through_the_private_file(
    page: Page, review: Review, tmp_path: Path
) -> None:
    with served(review) as url, redirecting_file(tmp_path, url) as file:
        page.open(file)
        page.wait_for(f"location.href === {json.dumps(url)}")
        page.wait_for("document.querySelectorAll('.tile').length === 12")
        page.visit("about:blank")
