"""The Python model: asks about its images, saves answers, and a new run learns from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import latte
from latte.interfaces import LatteError
from latte.new.model import Model
from latte.results.answers import read_answers

NAMES = ["red", "green", "blue"]


@pytest.fixture
def model(
    tmp_path: Path,
    colour_images: Callable[..., Path],
    tiny_clip_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Model:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return latte.adapt(colour_images(per_class=5), NAMES, model=f"local-dir:{tiny_clip_folder}")


def test_answers_to_the_questions_teach_a_new_model(model: Model) -> None:
    questions = model.ask(9)
    assert len(questions) == len({question.path for question in questions}) == 9
    assert {question.proposed for question in questions} <= {*NAMES}
    for question in questions:
        assert question.group[0] == question.path
        assert len({*question.group}) == len(question.group)
    assert questions._repr_html_().count("<img") == sum(
        len(question.group) for question in questions
    )
    assert str(questions[0].path) in repr(questions)
    model.answer({question.path: question.path.parent.name for question in questions})
    assert not {question.path for question in model.ask(15)} & {
        question.path for question in questions
    }
    taught = model.refit()
    assert model.taught is None
    assert taught.taught is not None
    assert taught.taught.answers == 9
    assert taught.folder != model.folder
    predicted = {Path(row.image): row.name for row in taught.predict("images")}
    answered = [question.path for question in questions]
    assert [predicted[path] for path in answered] == [path.parent.name for path in answered]
    # Answers to the taught model are added to those that taught it.
    further = taught.ask(2)
    assert not {question.path for question in further} & {*answered}
    taught.answer({question.path: question.path.parent.name for question in further})
    taught_again = taught.refit().taught
    assert taught_again is not None
    assert taught_again.answers == 11


def test_one_image_of_a_series_is_asked_about(model: Model) -> None:
    ids = [json.loads(line)["id"] for line in (model.folder / "data/training.jsonl").open()]
    series = {image: number // 5 for number, image in enumerate(ids)}
    rows = [f"{image},{number},burst\n" for image, number in series.items()]
    (model.folder / "data/series.csv").write_text("".join(["image,series,origin\n", *rows]))
    questions = model.ask(len(ids))
    assert len(questions) == 3
    assert {question.others for question in questions} == {4}
    assert all(line.endswith("%) + 4 more") for line in repr(questions).splitlines()[:3])
    assert "%) + 4 more<br>" in questions[0]._repr_html_()
    model.answer({questions[0].path: "red"})
    assert {question.path for question in model.ask(len(ids))} == {
        question.path for question in questions[1:]
    }


def test_wrong_answers_are_refused_and_nothing_is_saved(model: Model) -> None:
    good = str(model.ask(1)[0].path)
    Path("other.jpg").write_bytes(b"no image of the run")
    for image, name, what in (
        ("images/red/9.jpg", "red", "there is no image"),
        ("other.jpg", "red", "no image of the run"),
        (good, "rde", "unknown class"),
    ):
        with pytest.raises(LatteError, match=what) as caught:
            model.answer({good: "red", image: name})
        assert image in str(caught.value.where)
    assert read_answers(model.folder / "review.jsonl") == []
    wrong: Any
    for wrong in (0, "3", 2.5, None, True):
        with pytest.raises(LatteError, match="is no number of questions"):
            model.ask(wrong)
    for wrong in ({good: None}, {good: 3}, {None: "red"}, {b"0": "red"}, [good], {"\ud800": "red"}):
        with pytest.raises(LatteError, match=r"is no (class|path|mapping)"):
            model.answer(wrong)
    assert read_answers(model.folder / "review.jsonl") == []
    model.answer({good: "red"})
    with pytest.raises(LatteError, match='the only label is of the class "red"'):
        model.refit()
    model.answer({good: "cannot tell"})
    with pytest.raises(LatteError, match="no answer to learn from"):
        model.refit()


def test_an_image_that_is_gone_is_not_asked_about(model: Model) -> None:
    gone = model.ask(1)[0]
    gone.path.unlink()
    assert "<img" not in gone._repr_html_().partition("<br>")[0]
    assert gone.path.name in gone._repr_html_()
    reopened = latte.load(model.folder)
    assert gone.path not in {path for question in reopened.ask(15) for path in question.group}
