"""The lists of wrongly classified and least certain images on the page of a run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from latte.interfaces import ClassifiedImage, ImageReference, RunResults
from latte.report.page.page import run_page
from tests.helpers.html_document import Element, parse
from tests.helpers.report_examples import HOSTILE, changed, picture, run_results

pytestmark = pytest.mark.thorough


def results(folder: Path, **changes: object) -> RunResults:
    """Return a run with one mistake, and one uncertain image without a second class."""
    red, green = (
        picture(folder / "pictures", f"{colour}.png", colour) for colour in ("red", "green")
    )
    mistakes = (ClassifiedImage(red, (1, 2), (0.934, 0.05), zero_shot_label=0, true_label=0),)
    uncertain = (ClassifiedImage(green, (2,), (0.35,), zero_shot_label=1, true_label=None),)
    return run_results(folder, **{"mistakes": mistakes, "uncertain": uncertain, **changes})


def facts(card: Element) -> dict[str, str]:
    return {row.one("dt").words: row.one("dd").words for row in card.one("dl").all("div")}


def test_cards_name_the_true_predicted_and_zero_shot_class(tmp_path: Path) -> None:
    page = parse(run_page(results(tmp_path)))

    (wrong,) = page.by_id("mistakes").all("li", "card")
    assert facts(wrong) == {
        "True": "tabby cat",
        "Predicted": "red fox 93 %",
        "Second": "barn owl 5 %",
        "Zero-shot": "tabby cat",
    }
    assert wrong.one("img").attributes["alt"] == "Evaluation image red.png"
    assert wrong.one("p", "file").words == "red.png"
    marked = [row.one("dt").words for row in wrong.one("dl").all("div", "wrong")]
    assert marked == ["Predicted"], "zero-shot was right"
    (unsure,) = page.by_id("uncertain").all("li", "card")
    assert facts(unsure) == {"Predicted": "barn owl 35 %", "Zero-shot": "red fox"}
    assert not list(unsure.one("dl").all("div", "wrong"))


def test_a_command_opens_the_review_on_the_most_doubtful_class(tmp_path: Path) -> None:
    doubtful = parse(run_page(results(tmp_path))).by_id("doubtful")
    run = "/".join(results(tmp_path).folder.parts[-2:])
    assert doubtful.one("code").words == f"latte review {run} --class 'barn owl'"


def test_number_of_images_is_bounded_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte.report.page.mistakes.MOST_CARDS", 2)
    run = results(tmp_path)
    many = replace(run, mistakes=run.mistakes * 5, uncertain=run.uncertain * 5)
    page = parse(run_page(many))

    for section in ("mistakes", "uncertain"):
        assert len(list(page.by_id(section).all("li", "card"))) == 2
    assert "5 evaluation images are classified wrongly" in page.by_id("mistakes").words
    assert "The 2 most confident are shown" in page.by_id("mistakes").words
    assert "The 2 of 12,345 training images" in page.by_id("uncertain").words


def test_lists_are_folded_and_empty_ones_left_out(tmp_path: Path) -> None:
    page = parse(run_page(results(tmp_path)))
    folds = list(page.by_id("doubtful").all("details", "fold"))
    assert [fold.one("section").attributes["id"] for fold in folds] == ["mistakes", "uncertain"]
    assert not any("open" in fold.attributes for fold in folds)

    unlabelled = parse(run_page(results(tmp_path, models=(), mistakes=()))).by_id("doubtful")
    assert [section.attributes["id"] for section in unlabelled.all("section")] == ["uncertain"]
    certain = parse(run_page(results(tmp_path, uncertain=()))).by_id("doubtful")
    assert [section.attributes["id"] for section in certain.all("section")] == ["mistakes"]
    ids = parse(run_page(results(tmp_path, mistakes=(), uncertain=()))).all("section")
    assert "doubtful" not in [section.attributes["id"] for section in ids]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_file_and_class_names_stay_text(text: str, tmp_path: Path) -> None:
    calm = results(tmp_path)
    wrong, unsure = (
        replace(classified, image=ImageReference(text, classified.image.path))
        for classified in (*calm.mistakes, *calm.uncertain)
    )
    hostile = changed(
        calm,
        name=text,
        class_names=(text, text, text),
        mistakes=(wrong,),
        uncertain=(unsure,),
    )
    html = run_page(hostile)
    page = parse(html)

    assert [element.tag for element in page.all()] == [
        element.tag for element in parse(run_page(calm)).all()
    ]
    assert html.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", html)
    expected = re.sub(r"[\x00\x1b\ud800]", "\ufffd", text)
    assert page.by_id("mistakes").one("bdi").text == expected
