"""Keys and waits with which tests drive the review page, as a person would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.browser.fake_review import FakeReview
from tests.helpers.chromium import Page

WIDTHS = pytest.mark.parametrize("width", [1280, 390])

_SHOWN = (
    "[...document.querySelectorAll('.tile, #end, #mapping, #finishing')]"
    ".some((one) => one.offsetParent !== null)"
)


def open_page(page: Page, url: str, keys: Sequence[str] = ()) -> None:
    """Open the page, and press keys, each once the page has answered the one before."""
    page.visit(url)
    page.wait_for(_SHOWN)
    settle(page)
    for key in keys:
        press(page, [key])


def settle(page: Page) -> None:
    """Wait until all requests are answered and the photos of the question are there."""
    page.wait_for("document.body.dataset.busy === 'false'")
    page.wait_for("[...document.querySelectorAll('.tile img')].every((one) => one.complete)")


def press(page: Page, keys: Sequence[str]) -> None:
    """Press keys one after the other, and wait until their answers are saved."""
    for key in keys:
        page.press(key)
    settle(page)


def text(page: Page, id_: str) -> str:
    """Return the text of an element as a person sees it."""
    return str(page.evaluate(f"document.getElementById({id_!r}).innerText")).strip()


def is_shown(page: Page, id_: str) -> bool:
    return bool(page.evaluate(f"document.getElementById({id_!r}).offsetParent !== null"))


def photos(page: Page) -> list[int]:
    """Return the photos of the question, in order."""
    script = "[...document.querySelectorAll('.tile')].map((one) => Number(one.dataset.photo))"
    return [*page.evaluate(script)]


def marks(review: FakeReview, at: int = -1) -> dict[int, Any]:
    """Return the class, or else the kind, of each photo of a saved answer."""
    return {mark["photo"]: mark.get("class", mark["kind"]) for mark in review.saved[at]["marks"]}


def focused(page: Page) -> str:
    """Return the photo that has the focus, or else the id or the text of what has it."""
    script = "(({ dataset, id, innerText }) => dataset.photo ?? (id || innerText))"
    return str(page.evaluate(f"{script}(document.activeElement)"))
