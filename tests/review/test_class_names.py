"""Class names that a person changes or adds while answering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latte.interfaces import LatteError
from latte.results.answers import read_answers, read_class_changes
from latte.review.class_names import why_fixed
from latte.review.session import Mark, Review
from tests.helpers.page_client import Page
from tests.helpers.review_questions import NAMES, marks, question
from tests.helpers.reviews import made_up_review, served


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path / "run", NAMES)


@pytest.fixture
def page(review: Review) -> Iterator[Page]:
    with served(review) as url:
        yield Page(url)


def test_answers_stay_with_a_class_that_gets_another_name(review: Review) -> None:
    first = question(review, "clusters")
    review.save("clusters", marks(first, NAMES[1]))
    review.name_class(1, " hound ")
    second = question(review, "clusters")
    review.save("clusters", marks(second, "hound"))
    again = Review(review.run)
    assert again.class_names == review.class_names == (NAMES[0], "hound", *NAMES[2:])
    expected = dict.fromkeys([image.key for image in (*first, *second)], "hound")
    assert {key: answer.label for key, answer in again.answers().items()} == expected
    assert again.evidence().unknown == ""


def test_an_answer_before_a_change_can_be_undone_after_it(review: Review) -> None:
    time = review.save("clusters", marks(question(review, "clusters"), NAMES[1]))
    review.name_class(1, "hound")
    review.undo(time)
    assert review.answers() == {}


def test_a_new_class_can_be_named_and_reopens_what_showed_none_of_the_others(
    review: Review,
) -> None:
    (image,) = question(review, "evidence")
    review.save("evidence", [Mark(image.key, "none")])
    review.name_class(0, "tom cat")
    assert question(review, "evidence") != (image,)
    review.name_class(None, "wolf")
    assert review.class_names == ("tom cat", *NAMES[1:], "wolf")
    assert question(review, "evidence") == (image,)
    review.save("evidence", marks([image], "wolf"))
    assert [answer.label for answer in review.answers().values()] == ["wolf"]


@pytest.mark.parametrize(
    ("label", "name", "what"),
    [
        (None, "  ", "a class needs a name"),
        (None, "CAT", 'there is a class "cat" already'),
        (1, "Cat", 'there is a class "cat" already'),
        (None, "couch | sofa", "cannot be a class name"),
        (None, "a;b", "cannot be a class name"),
        (None, "# cat", "cannot be a class name"),
        (None, "wolf\nowl", "cannot be a class name"),
        (None, "${HOME}", "cannot be a class name"),
        (None, "None of these", "is an answer, and no class"),
        (7, "wolf", "there is no such class"),
    ],
)
def test_a_name_that_a_list_cannot_have_is_refused_in_one_line(
    review: Review, label: int | None, name: str, what: str
) -> None:
    with pytest.raises(LatteError) as raised:
        review.name_class(label, name)
    assert what in raised.value.what
    assert "\n" not in raised.value.what
    assert not review.file.exists()


def test_the_spelling_of_a_name_can_change(review: Review) -> None:
    review.name_class(0, "Cat")
    review.name_class(0, "Cat")
    assert review.class_names[0] == "Cat"
    assert len(read_class_changes([review.file]).changes) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset": {"classes": "folders"}}, "The folders of the photos"),
        ({"dataset": {"classes": ["a", "b"], "evaluation": "test"}}, "The labels of the test"),
        ({"dataset": {"classes": ["a", "b"], "texts": "texts.json"}}, "The descriptions"),
        ({"descriptions": ["class"]}, "The descriptions"),
        ({"corrections": ["labels.csv"]}, "The labels in your files"),
        ({"dataset": {"use": "squares"}}, "The dataset of this run"),
        ({}, ""),
    ],
)
def test_names_that_stand_elsewhere_too_cannot_change(
    review: Review, changes: dict[str, Any], reason: str
) -> None:
    review.run.record.source.values.update(changes)
    assert why_fixed(review.run).startswith(reason) and bool(reason) == bool(why_fixed(review.run))
    if reason:
        with pytest.raises(LatteError, match="this list cannot change: the"):
            review.name_class(0, "wolf")


def test_the_page_names_a_class_and_both_tabs_hear_it(page: Page, review: Review) -> None:
    events = page.events()
    assert next(events)[1]["state"]["canNameClasses"]
    page.answer(page.question(), 1)
    status, reply = page.post("classes", label=1, name="hound")
    assert (status, reply["state"]["classes"][1]) == (200, "hound")
    status, reply = page.post("classes", label=None, name="wolf")
    assert reply["state"]["classes"] == [NAMES[0], "hound", *NAMES[2:], "wolf"]
    assert len(reply["state"]["counts"]) == len(reply["state"]["zeroShotCounts"]) == 4
    assert any(data.get("state", {}).get("classes", ())[-1:] == ["wolf"] for _, data in events)
    status, reply = page.answer(page.question(), 3)
    assert status == 200
    assert read_answers(review.file)[-1].label == "wolf"
    state = page.state_when(lambda state: bool(state["settled"]))
    assert state["counts"][3] >= 12


def test_the_page_refuses_a_name_and_says_why(page: Page) -> None:
    status, reply = page.post("classes", label=None, name="cat")
    assert (status, reply["error"]["what"]) == (409, 'there is a class "cat" already')
    assert page.post("classes", label="0", name="wolf")[0] == 422
