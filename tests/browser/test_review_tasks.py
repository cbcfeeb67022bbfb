"""The three tasks of the review page in a real browser, with the keyboard alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from errno import ENOSPC, EROFS
from os import strerror
from pathlib import Path

import pytest

from latte.interfaces import Progress
from latte.results.run import open_run
from latte.review.session import Review
from latte.review.tasks import TaskPlace
from tests.browser.review_page import (
    NAMES,
    WIDTHS,
    is_shown,
    kinds,
    open_task,
    press,
    rows,
    text,
)
from tests.helpers.chromium import NEEDS_BROWSER, Page
from tests.helpers.limits import LIMITS, largest_file
from tests.helpers.reviews import keep_zero_shot, made_up_review, served, with_series

pytestmark = NEEDS_BROWSER


@WIDTHS
def test_groups_are_named_by_keyboard(page: Page, review: Review, width: int) -> None:
    page.show(width)
    with served(review) as url:
        open_task(page, url)
        assert text(page, "progress") == "5 groups left. Answers: 0, not used yet: 0."
        first_rows = rows(page)
        press(page, ["b", "c", "c", "1"])
        assert sorted(kinds(review)) == ["class"] * 11 + ["unsure"]
        assert review.answers()[f"key {first_rows[1]}"].kind == "unsure"
        assert rows(page) != first_rows
        press(page, ["-"])
        assert kinds(review).count("unsure") == 13
        third = rows(page)
        press(page, ["0"])
        assert kinds(review).count("none") == 12
        press(page, ["u"])
        assert rows(page) == third
        assert "none" not in kinds(review)
        assert text(page, "progress") == "3 groups left. Answers: 24, not used yet: 11."
        assert page.complaints() == []


@WIDTHS
def test_the_gain_is_measured_by_keyboard(page: Page, review: Review, width: int) -> None:
    page.show(width)
    upcoming = [images[0].key for images in review.questions(TaskPlace(task="evidence"))]
    with served(review) as url:
        open_task(page, url, "m")
        assert text(page, "name") == f"{upcoming[0].removeprefix('key ')}.jpg"
        press(page, ["1", "0", "-", "5"])
        assert [*review.answers()] == upcoming[:4]
        assert kinds(review) == ["class", "none", "unsure", "class"]
        assert text(page, "gain").startswith("After 3 answers: not decided yet")
        press(page, ["u", "u"])
        assert [*review.answers()] == upcoming[:2]
        assert rows(page) == [upcoming[2].removeprefix("key ")]
        assert page.complaints() == []


def test_the_page_says_how_many_more_images_a_series_has(page: Page, review: Review) -> None:
    series = with_series(review.run.folder.path, [number // 4 for number in range(200)])
    with served(series) as url:
        open_task(page, url, "m")
        assert text(page, "name").endswith(".jpg + 3 more")
        open_task(page, url, "o")
        assert text(page, "sheet").count("+ 3 more") == 12
        press(page, ["z"])
        assert text(page, "zoomed-name").endswith(".jpg + 3 more")
        assert page.complaints() == []


@WIDTHS
def test_labels_are_looked_through_by_keyboard(page: Page, review: Review, width: int) -> None:
    page.show(width)
    labels = {str(image.row): NAMES[image.used_label] for image in review.images}
    doubtful = [str(image.row) for image in sorted(review.images, key=lambda i: i.used_confidence)]
    with served(review) as url:
        open_task(page, url, "o")
        first_rows = rows(page)
        assert first_rows == doubtful[:12]
        press(page, ["c", "d", "2"])  # two images at once, in place
        assert {key: answer.label for key, answer in review.answers().items()} == {
            f"key {row}": "dog" for row in first_rows[2:4]
        }
        assert rows(page) == first_rows
        captions = page.evaluate("[...document.querySelectorAll('#sheet b')].map(b => b.innerText)")
        assert captions[:4] == [labels[row] for row in first_rows[:2]] + ["✓ dog"] * 2
        press(page, ["a", "-", "y"])
        answers = review.answers()
        assert answers[f"key {first_rows[0]}"].kind == "unsure"
        assert [answers[f"key {row}"].label for row in first_rows[4:]] == [
            labels[row] for row in first_rows[4:]
        ]
        assert rows(page) == doubtful[12:24]
        press(page, ["s"])
        assert rows(page) == doubtful[24:36]
        press(page, ["u"])
        assert len(review.answers()) == 3
        assert page.complaints() == []


@WIDTHS
def test_the_class_to_look_through_is_chosen_by_keyboard(
    page: Page, review: Review, width: int
) -> None:
    page.show(width)
    with served(review) as url:
        open_task(page, url, "o")
        page.evaluate("document.body.focus()")
        for _ in range(20):
            page.press("Tab")
            if page.evaluate("document.activeElement.id") == "class":
                break
        press(page, ["ArrowDown"])
        press(page, ["ArrowDown", "Enter"])
        assert page.evaluate("state.question.images.every((image) => image.label === 1)")
        press(page, ["y"])
        assert {answer.label for answer in review.answers().values()} == {"dog"}


def test_a_link_opens_the_images_of_one_class(page: Page, tmp_path: Path) -> None:
    review = made_up_review(tmp_path, ("a b", "ä#ö", "c"))
    with served(review) as url:
        page.visit(f"{url}#%C3%A4%23%C3%B6")
        page.wait_for("state !== null && !busy")
        assert page.evaluate("state.question.images.every((image) => image.label === 1)")


@WIDTHS
def test_answers_are_used_by_keyboard(page: Page, tmp_path: Path, width: int) -> None:
    page.show(width)
    review = made_up_review(tmp_path / "run", NAMES)
    taught = made_up_review(tmp_path / "taught", NAMES)
    labels = taught.run.folder.pseudo_labels
    labels.write_text(labels.read_text().replace(",cat,cat,", ",cat,dog,"))

    def teach(progress: Progress) -> tuple[Path, Sequence[str]]:
        with progress.task("fit", 9, "images") as task:
            task.advance(4)
            end.wait(20)
        return taught.run.folder.path, ["The new model is better."]

    end = threading.Event()
    with served(review, teach=teach) as url:
        open_task(page, url)
        press(page, ["1"])
        page.press("t")
        page.wait_for("find('line').textContent === 'Using your answers: fit: 4/9 images'")
        page.press("1")  # keys do nothing meanwhile
        end.set()
        page.wait_for("find('comparison').offsetParent !== null && !busy")
        assert len(review.answers()) == 12
        assert not is_shown(page, "line")
        assert text(page, "lines") == "The new model is better."
        shares = page.evaluate("[...find('shares').rows].map(row => row.innerText.split('\\t'))")
        assert shares[:2] == [["cat", "40 (20 %)", "10 (5 %)"], ["dog", "40 (20 %)", "70 (35 %)"]]
        assert text(page, "changes") == "Images with a new label: 30, of which 24 are shown"
        assert text(page, "progress").endswith("not used yet: 0.")
        page.press("Enter")  # the button to go on has the focus
        page.wait_for("find('asking').offsetParent !== null && !busy")
        assert text(page, "progress").startswith("5 groups left")
        press(page, ["u"])
        assert review.answers() == {}
        assert text(page, "progress").endswith("not used yet: 12.")
        assert page.complaints() == []


def test_a_run_that_kept_zero_shot_shows_the_labels_of_its_file(page: Page, tmp_path: Path) -> None:
    page.show(1280)
    made_up_review(tmp_path / "run", NAMES)
    keep_zero_shot(tmp_path / "run")
    review = Review(open_run(tmp_path / "run"))
    taught = made_up_review(tmp_path / "taught", NAMES)
    with served(review, teach=lambda progress: (taught.run.folder.path, [])) as url:
        open_task(page, url, "o")
        labels = dict(enumerate(review.run.rows.pseudo_labels.adapted))
        shown = page.evaluate("state.question.images.map(({ row, label }) => [row, label])")
        assert shown == [[row, labels[row]] for row, _ in shown]
        press(page, ["a", "2"])
        page.press("t")
        page.wait_for("find('comparison').offsetParent !== null && !busy")
        assert text(page, "changes") == "Images with a new label: 50, of which 24 are shown"
        row = page.evaluate("document.querySelector('#changed img').src.split('/').pop()")
        change = page.evaluate("document.querySelector('#changed figcaption').innerText")
        assert change.startswith(f"{NAMES[labels[int(row)]]} →")


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        (OSError(ENOSPC, strerror(ENOSPC), "runs/new/x"), "runs/new/x: no space left on device"),
        (OSError(EROFS, strerror(EROFS), "runs/new"), "runs/new: read-only file system"),
        (RuntimeError("a bug"), "your answers are saved, but latte failed while it used them"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_while_teaching_is_one_line_and_answers_go_on(
    page: Page, review: Review, raised: Exception, shown: str
) -> None:
    def teach(progress: Progress) -> tuple[Path, Sequence[str]]:
        raise raised

    with served(review, teach=teach) as url:
        open_task(page, url)
        press(page, ["1"])
        press(page, ["t"])
        page.wait_for("!teaching")
        assert text(page, "error").startswith(f"{shown}; ")
        press(page, ["2"])
        assert len(review.answers()) == 24


@LIMITS
def test_answers_that_cannot_be_saved_stay_on_the_page(page: Page, review: Review) -> None:
    with served(review) as url:
        open_task(page, url, "o")
        first_rows = rows(page)
        with largest_file(100):
            press(page, ["c", "2"])
        assert text(page, "error").startswith(f"Not saved: {review.file}: cannot be written: file")
        assert (rows(page), review.answers()) == (first_rows, {})
        press(page, ["2"])  # the image is still selected
        assert not is_shown(page, "error")
        assert [*review.answers()] == [f"key {first_rows[2]}"]


def test_an_error_of_teaching_is_shown_and_the_question_stays(page: Page, review: Review) -> None:
    with served(review) as url:
        open_task(page, url)
        press(page, ["1"])
        press(page, ["t"])
        page.wait_for("!teaching")
        assert text(page, "error") == "this test teaches no model"
        press(page, ["2"])
        assert len(review.answers()) == 24
