"""Keys and waits with which tests drive the review page, as a person would."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from latte.review.session import Review
from tests.helpers.chromium import Page

NAMES = ("cat", "dog", "<b>bird</b>", "a " + "very " * 20 + "long name", "fish")
CLOTHES = ("T-Shirts", "shirts", "skirts", "Night_Shirts", "shirts of wool")
MANY = (*CLOTHES, *(f"other clothes {number}" for number in range(9)))

WIDTHS = pytest.mark.parametrize("width", [1280, 390])


def open_task(page: Page, url: str, key: str = "n") -> None:
    """Open the page and choose the task with this key, by the keyboard."""
    page.visit(url)
    page.wait_for("state !== null && !busy")
    page.press(key)
    page.wait_for(f"!busy && tasks[state.task].key === {key!r}")
    page.wait_for("[...document.querySelectorAll('#sheet img')].every(one => one.complete)")


def press(page: Page, keys: Sequence[str]) -> None:
    """Press keys one after the other, and wait until their answers are saved."""
    for key in keys:
        page.press(key)
    page.wait_for("!busy")


def text(page: Page, id_: str) -> str:
    return str(page.evaluate(f"document.getElementById({id_!r}).textContent"))


def is_shown(page: Page, id_: str) -> bool:
    return bool(page.evaluate(f"document.getElementById({id_!r}).offsetParent !== null"))


def rows(page: Page) -> list[str]:
    """Return the indices of the images of the question, in order."""
    return [str(row) for row in page.evaluate("state.question.images.map((image) => image.row)")]


def answers_saved(page: Page, review: Review, count: int, seconds: float = 20) -> None:
    """Wait until the review has `count` answers and the page shows the next question."""
    end = time.monotonic() + seconds
    while len(review.answers()) != count and time.monotonic() < end:
        time.sleep(0.02)
    page.wait_for("!busy")
    assert len(review.answers()) == count


def kinds(review: Review) -> list[str]:
    return [answer.kind for answer in review.answers().values()]


def search(page: Page, class_name: str) -> None:
    page.press("/")
    for letter in class_name:
        page.press(letter)
