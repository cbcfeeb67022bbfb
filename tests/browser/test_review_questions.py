"""The views that ask, in a real browser: what keys mean, and which answers they save."""

from __future__ import annotations

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
from tests.helpers.chromium import NEEDS_BROWSER, Page

pytestmark = NEEDS_BROWSER


# Name groups


@WIDTHS
def test_a_group_gets_a_class_and_left_out_photos_get_none(page: Page, width: int) -> None:
    page.show(width)
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        shown = photos(page)
        press(page, ["b", "c", "c", "c", "2"])
        expected = dict.fromkeys(shown, 1) | {shown[1]: "unsure"}
        assert marks(review) == expected
        assert review.saved[0]["seen"] == shown
        assert photos(page) != shown
        assert page.complaints() == []
    page.show(1280)


def test_one_key_gives_a_single_photo_a_class_of_its_own(page: Page) -> None:
    page.show(1280)
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        shown = photos(page)
        press(page, ["C", "4"])
        assert review.saved == []
        assert "malachite" in page.evaluate("document.querySelectorAll('.tile')[2].innerText")
        press(page, ["e", "e", "5", "1"])  # a second press of a left-out photo asks for its class
        assert marks(review) == dict.fromkeys(shown, 0) | {shown[2]: 3, shown[4]: 4}


def test_mixed_groups_teach_nothing_and_zero_keeps_photos_out(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        first = photos(page)
        press(page, ["-"])
        assert marks(review) == dict.fromkeys(first, "unsure")
        second = photos(page)
        press(page, ["0"])
        assert marks(review) == dict.fromkeys(second, "none")


def test_a_skipped_question_saves_nothing(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        shown = photos(page)
        press(page, ["a", "s"])
        assert review.saved == []
        assert photos(page) != shown


def test_a_class_that_no_group_shows_is_asked_for_by_name(page: Page) -> None:
    review = FakeReview(asks_for=4)
    with serving(review) as url:
        open_page(page, url)
        shown = photos(page)
        assert text(page, "asking").startswith("Do you see muscovite here?")
        assert text(page, "confirm").startswith("None of them")
        press(page, ["b", "d", "y"])
        assert marks(review) == {shown[1]: 4, shown[3]: 4}
        assert review.saved[0]["seen"] == shown
        review.asks_for = 4
        open_page(page, url)
        press(page, ["y"])
        assert (marks(review), len(review.saved[1]["seen"])) == ({}, 12)


# Measure


@WIDTHS
def test_a_random_photo_is_answered_and_its_label_is_hidden(page: Page, width: int) -> None:
    page.show(width)
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url, ["m"])
        assert len(photos(page)) == 1
        assert "labelled" not in page.evaluate("document.querySelector('.tile').innerText")
        assert text(page, "right") == "8 of 12 random photos had the right label."
        shown = []
        for key in ("3", "0", "-"):
            shown += photos(page)
            press(page, [key])
        assert [marks(review, at) for at in range(3)] == [
            {shown[0]: 2},
            {shown[1]: "none"},
            {shown[2]: "unsure"},
        ]
        assert text(page, "then").startswith("5 more, and the number above")
        assert page.complaints() == []
    page.show(1280)


def test_a_frozen_measurement_says_so_and_ends_when_its_view_is_left(page: Page) -> None:
    review = FakeReview(frozen=True)
    with serving(review) as url:
        open_page(page, url, ["m"])
        assert text(page, "then").endswith("They teach once you leave this view.")
        press(page, ["o"])
        assert not review.frozen


# Doubtful


def test_wrong_labels_are_corrected_in_place_and_the_others_confirmed(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url, ["o"])
        shown = photos(page)
        labels = {photo: review.label(photo) for photo in shown}
        press(page, ["c", "d"])
        assert page.evaluate("document.getElementById('confirm').disabled")
        press(page, ["y", "2"])
        assert marks(review) == dict.fromkeys(shown[2:4], 1)
        assert photos(page) == shown
        assert text(page, "confirm").startswith("All other labels are right")
        press(page, ["a", "-", "y"])
        assert marks(review, 1) == {shown[0]: "unsure"}
        assert marks(review, 2) == {photo: labels[photo] for photo in [shown[1], *shown[4:]]}
        assert photos(page) != shown


def test_a_link_opens_the_labels_of_one_class(page: Page) -> None:
    review = FakeReview(names=["a b", "ä#ö", "c"], delay=9.0)
    with serving(review) as url:
        open_page(page, f"{url}#%C3%A4%23%C3%B6")
        assert {review.label(photo) for photo in photos(page)} == {1}
        assert text(page, "doubtful") == "Labelled ä#ö only"
        press(page, ["y"])
        assert review.saved[0]["label"] == 1
        assert {review.label(photo) for photo in photos(page)} == {1}
        press(page, ["o"])
        assert text(page, "doubtful").endswith("doubtful of 423")


# Classes: keys, search


def test_twelve_classes_have_keys_that_no_other_command_uses(page: Page) -> None:
    review = FakeReview(names=[f"class {number}" for number in range(12)])
    with serving(review) as url:
        open_page(page, url, ["m"])
        script = (
            "[...document.querySelectorAll('.class')].map((one) => one.innerText.split('\\n')[0])"
        )
        assert "".join(page.evaluate(script)) == "123456789pqr"
        assert not is_shown(page, "finder")
        press(page, ["9", "p", "r"])
        assert [[*marks(review, at).values()] for at in range(3)] == [[8], [9], [11]]
        keys = page.evaluate(
            "[...document.querySelectorAll('main kbd, header kbd, nav kbd')]"
            ".filter((one) => one.offsetParent).map((one) => one.innerText)"
        )
        assert len(set(keys)) == len(keys)


CLOTHES = ("T-Shirts", "shirts", "skirts", "Night_Shirts", "shirts of wool")


@pytest.mark.parametrize(
    ("typed", "named"),
    [("shirts", "shirts"), ("SHIR", "shirts"), ("t-s", "T-Shirts"), ("night s", "Night_Shirts")],
)
@pytest.mark.parametrize("view", ["m", "n"])
def test_enter_names_the_nearest_class_which_the_page_tells(
    page: Page, view: str, typed: str, named: str
) -> None:
    review = FakeReview(names=[*CLOTHES, *(f"other clothes {number}" for number in range(9))])
    with serving(review) as url:
        open_page(page, url, [view])
        press(page, ["/", *typed])
        assert text(page, "found") == f"Enter names {named}"
        press(page, ["Enter"])
        assert {review.names[label] for label in marks(review).values()} == {named}
        press(page, ["/", *"zebra"])
        assert text(page, "found").startswith("No class")
        press(page, ["Enter"])
        assert len(review.saved) == 1


def test_forty_classes_show_the_likeliest_first_and_give_colours_to_seven(page: Page) -> None:
    review = FakeReview(names=[*FORTY])
    with serving(review) as url:
        open_page(page, url)
        likely = review.question("groups")["question"]["likely"]
        script = "[...document.querySelectorAll('.class .name')].map((one) => one.textContent)"
        shown = page.evaluate(script)
        assert shown[:9] == [review.names[label] for label in likely]
        assert sorted(shown) == sorted(review.names)
        script = (
            "[...document.querySelectorAll('.class')].filter((one) => !one.matches('.kx')).length"
        )
        assert page.evaluate(script) == 7
        press(page, ["9"])
        assert {*marks(review).values()} == {likely[8]}


def test_names_are_text_and_never_markup(page: Page) -> None:
    review = FakeReview(names=["<b>cat</b>", "<img src=x onerror=alert(1)>", *FORTY])
    with serving(review) as url:
        open_page(page, url)
        press(page, ["/", *"<b"])
        assert text(page, "found") == "Enter names <b>cat</b>"
        open_page(page, url, ["o"])
        assert page.evaluate("document.querySelectorAll('.name *, figcaption b').length") == 0
        assert page.complaints() == []


# Keys in their order, undo, full size


def test_keys_pressed_while_an_answer_is_saved_wait_for_it(page: Page) -> None:
    review = FakeReview(names=[*FORTY], slow=0.15)
    with serving(review) as url:
        open_page(page, url, ["m"])
        for key in "110-1":
            page.press(key)
        for key in ["/", *"agate", "Enter"]:
            page.press(key)
        page.wait_for("document.getElementById('right').innerText.startsWith('12 of 18')")
        settle(page)
        kinds = [next(iter(marks(review, at).values())) for at in range(6)]
        assert kinds[2:4] == ["none", "unsure"]
        assert review.names[kinds[5]] == "agate"


def test_a_name_is_typed_while_the_answer_before_is_saved(page: Page) -> None:
    review = FakeReview(names=[*FORTY], slow=0.5)
    with serving(review) as url:
        open_page(page, url, ["m"])
        for key in ["1", "/", *"aga"]:
            page.press(key)
        assert page.evaluate("document.body.dataset.busy") == "true"
        settle(page)
        press(page, ["t", "e", "Enter"])
        page.wait_for("document.getElementById('right').innerText.startsWith('9 of 14')")
        assert [review.names[label] for label in marks(review).values()] == ["agate"]


def test_a_key_held_down_is_one_answer(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url, ["m"])
        page.press("1", held=5)
        settle(page)
        assert len(review.saved) == 1


def test_undo_goes_back_to_the_view_of_the_answer(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        shown = photos(page)
        press(page, ["2"])
        open_page(page, url, ["m", "3", "o", "u", "u"])
        assert review.saved == []
        assert page.evaluate("document.body.dataset.view") == "groups"
        assert photos(page) == shown
        assert text(page, "line").startswith("Undone.")


@WIDTHS
def test_a_photo_is_enlarged_with_its_name(page: Page, width: int) -> None:
    page.show(width)
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url)
        names = [f"IMG_{1000 + photo}.jpg" for photo in photos(page)]
        page.press("z")
        page.wait_for("document.getElementById('zoomed').naturalWidth > 300")
        assert text(page, "zoom-title") == names[0]
        press(page, ["ArrowRight", "1"])  # an answer needs the page below
        assert text(page, "zoom-title") == names[1]
        page.press("z")
        page.wait_for("!document.getElementById('zoom').open")
        assert review.saved == []
        assert focused(page) == str(photos(page)[0])
    page.show(1280)


# Class names


def type_name(page: Page, field: str, name: str) -> None:
    """Type a name into a field, and leave the field."""
    page.evaluate(f"{field}.focus(), {field}.select()")
    page.call("Input.insertText", text=name)
    page.evaluate(f"{field}.blur()")
    settle(page)


@WIDTHS
def test_a_class_is_renamed_and_added_and_both_can_be_chosen_at_once(
    page: Page, width: int
) -> None:
    review = FakeReview()
    page.show(width)
    with serving(review) as url:
        open_page(page, url, ["t"])
        assert focused(page) == "added"
        type_name(page, "document.querySelector('#named li:nth-child(2) input')", "peacock ore")
        assert review.names[1] == "peacock ore"
        assert text(page, "line").startswith("bornite is now peacock ore.") or width == 390
        type_name(page, "document.getElementById('added')", "opal")
        assert page.evaluate("document.querySelectorAll('#named li').length") == 8
        page.evaluate("document.getElementById('names').close()")
        names = "[...document.querySelectorAll('.class .name')].map((one) => one.textContent)"
        assert page.evaluate(names) == review.names
        press(page, ["8"])
        assert {*marks(review).values()} == {7}
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.show(1280)


def test_a_name_that_is_taken_is_refused_at_its_field(page: Page) -> None:
    review = FakeReview()
    with serving(review) as url:
        open_page(page, url, ["t"])
        type_name(page, "document.getElementById('added')", "quartz")
        message = str(page.evaluate("document.getElementById('added').validationMessage"))
        assert message == 'there is a class "quartz" already; type another name'
        assert len(review.names) == 7
        type_name(page, "document.getElementById('added')", "opal")
        assert review.names[-1] == "opal"


def test_class_names_that_cannot_change_are_not_offered(page: Page) -> None:
    with serving(FakeReview(can_name_classes=False)) as url:
        open_page(page, url, ["t"])
        assert not is_shown(page, "rename")
        assert not page.evaluate("document.getElementById('names').open")


def test_the_page_begins_where_the_server_says(page: Page) -> None:
    with serving(FakeReview(first="doubtful")) as url:
        open_page(page, url)
        assert page.evaluate("document.body.dataset.view") == "doubtful"
