"""The texts of the page: what is known and not known, in the numbers and words of a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from latte.review.page_texts import estimate_facts, page_texts

KNOWN = {"source": "left-out", "answers": 43, "needed": 8, "value": 63.2, "low": 49, "high": 75}
UNKNOWN = {"source": "unknown", "answers": 3, "needed": 6, "isNear": False}


def page_state(**changes: Any) -> dict[str, Any]:
    return {
        "name": "minerals",
        "photos": 1423,
        "answered": 43,
        "groupsLeft": 1,
        "counts": [3, 2, 0],
        "zeroShotKnowsNames": None,
        "estimate": KNOWN,
        "zeroShot": 5.4,
        "history": [],
        "measured": {"answers": 12, "right": 8, "needed": 8},
        "tenMore": {"points": 3.6, "atLeast": False},
        "teaching": {"state": "idle"},
        "measureFrozen": False,
        "change": {"count": 41, "revision": 2},
        "commands": {"report": "report/index.html"},
    } | changes


def test_the_head_names_the_set_and_one_number_with_its_interval() -> None:
    texts = page_texts(page_state())
    assert (texts["photos"], texts["groups-left"]) == ("1,423 photos", ", 1 group left")
    assert (texts["value"], texts["interval"]) == ("63", "probably 49 to 75 %")
    assert (texts["after"], texts["was"]) == ("After 43 answers", ", was 5 %")
    assert (texts["ten-more"], texts["news"]) == ("about +4 points", "41 labels changed.")
    assert texts["command-report"] == "report/index.html"


def test_the_result_says_how_far_to_trust_it_and_when_to_stop() -> None:
    texts = page_texts(page_state())
    assert texts["headline"] == "Finish here, or go on. About 63 % of the labels are right."
    assert texts["trust"] == (
        "Zero-shot CLIP had 5 % on the same answers. The true value is probably between 49 and "
        "75 %. Ten more answers are expected to bring about 4 points."
    )
    little = page_texts(page_state(zeroShot=None, tenMore={"points": 0.4, "atLeast": False}))
    assert little["headline"].startswith("Done.")
    assert little["trust"] == (
        "The true value is probably between 49 and 75 %. Ten more answers are expected to bring "
        "less than a point: a good place to stop."
    )


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (None, ""),
        ({"points": 0.4, "atLeast": True}, ""),
        ({"points": 1.2, "atLeast": True}, "at least +1 point"),
    ],
)
def test_what_ten_more_answers_bring_is_said_only_if_it_is_known(more: Any, text: str) -> None:
    assert page_texts(page_state(tenMore=more))["ten-more"] == text


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, "6 random photos in Measure give a first estimate"),
        ({"needed": 1}, "1 random photo in Measure gives a first estimate"),
        ({"isNear": True}, "It is estimated while you pause"),
    ],
)
def test_without_an_estimate_the_shortest_way_to_one_is_named(
    changes: dict[str, Any], needed: str
) -> None:
    state = page_state(estimate=UNKNOWN | changes, zeroShotKnowsNames=False)
    texts = page_texts(state)
    assert (texts["value"], texts["needed"]) == ("", needed)
    assert [term for term, _ in estimate_facts(state)] == ["Soon", "Measure", "Names"]
    assert "%" not in texts["trust"]


def test_the_number_before_stands_until_the_newest_labels_are_estimated() -> None:
    before = {"answers": 32, "value": 54, "low": 40, "high": 66}
    state = page_state(estimate=UNKNOWN, history=[before])
    assert page_texts(state)["after"] == "After 32 answers"
    assert [term for term, _ in estimate_facts(state)] == ["Source", "Better?", "Band"]


def test_random_photos_are_counted_and_said_to_teach_later_while_they_measure() -> None:
    texts = page_texts(page_state(measureFrozen=True))
    assert texts["right"] == "8 of 12 random photos had the right label."
    assert texts["then"] == (
        "8 more, and the number above rests on these alone. They teach once you leave this view."
    )
    enough = {"answers": 0, "right": 0, "needed": 0}
    texts = page_texts(page_state(measured=enough))
    assert (texts["right"], texts["then"]) == ("", "The number above rests on these alone.")


def test_classes_beyond_the_piles_are_counted() -> None:
    texts = [page_texts(page_state(counts=[*range(count)]))["more-classes"] for count in (8, 9, 11)]
    assert texts == ["", "and 1 more class", "and 3 more classes"]
