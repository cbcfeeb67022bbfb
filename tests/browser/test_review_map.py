"""The map of the review page in a real browser: lasso, keys, zoom, and how fast it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi, sin

import pytest

from tests.browser.fake_review import FakeReview, serving
from tests.browser.review_page import focused, marks, open_page, press, settle, text
from tests.helpers.chromium import NEEDS_BROWSER, Page

pytestmark = NEEDS_BROWSER

MARGIN = 28
"""Pixels around all dots."""


@pytest.fixture(autouse=True)
def _wide(page: Page) -> Iterator[None]:
    page.show(1280)
    yield
    page.visit("about:blank")


def on_screen(page: Page, review: FakeReview, photo: int) -> tuple[float, float]:
    """Return where the dot of a photo is, in pixels of the window."""
    left, top, width, height = page.evaluate(
        "(({ left, top, width, height }) => [left, top, width, height])"
        "(document.getElementById('over').getBoundingClientRect())"
    )
    x, y = review.place[photo]
    return left + MARGIN + x * (width - 2 * MARGIN), top + MARGIN + y * (height - 2 * MARGIN)


def circle(middle: tuple[float, float], radius: float) -> list[tuple[float, float]]:
    turns = [2 * pi * part / 24 for part in range(24)]
    return [(middle[0] + radius * cos(turn), middle[1] + radius * sin(turn)) for turn in turns]


def test_photos_inside_a_lasso_are_named(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url, ["v"])
        middle = on_screen(page, review, 7)
        inside = [
            photo
            for photo in review.all()
            if sum(
                (a - b) ** 2 for a, b in zip(on_screen(page, review, photo), middle, strict=True)
            )
            < 38**2
        ]
        page.drag(circle(middle, 40))
        picked = int(text(page, "picked").split()[0])
        assert abs(picked - len(inside)) <= max(2, len(inside) // 5)
        press(page, ["3"])
        assert {*inside} <= {*marks(review)}
        assert {*marks(review).values()} == {2}
        assert review.saved[0]["view"] == "map"
        assert 0 < len(review.saved[0]["seen"]) <= 7
        assert focused(page) == "over"
        assert page.evaluate("document.getElementById('tray').hidden")
        assert page.complaints() == []


def test_look_at_all_shows_the_photos_which_then_count_as_seen(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url, ["v", "ArrowDown", "+", "+", "+"])
        page.evaluate("document.getElementById('look').click()")
        assert page.evaluate("document.querySelectorAll('#all-photos img').length") == 30
        page.press("Escape")
        press(page, ["1"])
        assert len(review.saved[0]["seen"]) == len(marks(review)) == 30


def test_arrows_walk_space_selects_plus_adds_neighbours_escape_clears(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url, ["v"])
        press(page, ["ArrowRight"])
        walked = text(page, "walked")
        assert walked.split(",")[0] in review.names
        press(page, [" "])
        assert text(page, "picked") == "1 photo selected"
        assert text(page, "walked").endswith("selected")
        press(page, ["+"])
        assert text(page, "picked") == "11 photos selected"
        press(page, ["Escape"])
        assert page.evaluate("document.getElementById('tray').hidden")
        press(page, ["1"])
        assert review.saved == []


def test_zoom_keeps_the_place_under_the_pointer(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url, ["v"])
        x, y = on_screen(page, review, 7)
        for _ in range(6):
            page.call(
                "Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-200
            )
        page.wait_for("!!document.getElementById('over')")
        page.drag([(x, y)])
        settle(page)
        press(page, ["1"])
        assert [*marks(review)] == [7]


def test_learning_colours_the_dots_and_moves_none(page: Page) -> None:
    review = FakeReview()
    pixels = "document.getElementById('dots').toDataURL()"
    with serving(review) as url:
        open_page(page, url, ["v"])
        before = page.evaluate(pixels)
        places = [*review.place]
        page.drag(circle(on_screen(page, review, 7), 40))
        press(page, ["3"])
        page.wait_for("document.getElementById('estimate').innerText.startsWith('68')")
        page.wait_for(f"{pixels} !== {before!r}")
        assert review.place == places


COUNTED = """
(() => {
  window.drawn = 0;
  const { putImageData, drawImage } = CanvasRenderingContext2D.prototype;
  for (const draw of [putImageData, drawImage]) {
    CanvasRenderingContext2D.prototype[draw.name] = function (...all) {
      window.drawn += 1;
      return draw.apply(this, all);
    };
  }
})()
"""


def test_ten_thousand_dots_are_one_picture_which_a_lasso_does_not_draw_again(page: Page) -> None:
    with serving(FakeReview(photos=10_000)) as url:
        open_page(page, url, ["v"])
        page.evaluate(COUNTED)
        places = circle((400, 400), 60)
        middle, shift = [(400.0, 400.0)], 8
        page.drag([*middle, *places], modifiers=shift)
        page.wait_for("window.drawn > 0")
        assert page.evaluate("window.drawn") <= len(places) + 3, "one picture per frame"
        page.evaluate("window.drawn = 0")
        for kind, (x, y) in zip(
            ["mousePressed", *["mouseMoved"] * 24], middle + places, strict=True
        ):
            button = {"button": "left", "buttons": 1, "clickCount": 1}
            page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)
        page.evaluate("new Promise(requestAnimationFrame)")
        assert page.evaluate("window.drawn") == 0
