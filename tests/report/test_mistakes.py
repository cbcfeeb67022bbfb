"""The page of wrongly classified and least certain images."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from latte.interfaces import ClassifiedImage, ImageReference, RunResults
from latte.report.page.mistakes import mistakes_page
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
    page = parse(mistakes_page(results(tmp_path)))

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
    uncertain = parse(mistakes_page(results(tmp_path))).by_id("uncertain")
    name = results(tmp_path).folder.name
    assert uncertain.one("code").words == f"latte review {name} --class 'barn owl'"


def test_number_of_images_is_bounded_and_said(tmp_path: Path) -> None:
    run = results(tmp_path)
    many = replace(run, mistakes=run.mistakes * 5, uncertain=run.uncertain * 5)
    page = parse(mistakes_page(many, images=2))

    for section in ("mistakes", "uncertain"):
        assert len(list(page.by_id(section).all("li", "card"))) == 2
    assert "5 evaluation images are classified wrongly" in page.by_id("mistakes").words
    assert "The 2 most confident are shown" in page.by_id("mistakes").words
    assert "The 2 of 12,345 training images" in page.by_id("uncertain").words


def test_without_labels_and_without_mistakes(tmp_path: Path) -> None:
    unknown = parse(mistakes_page(results(tmp_path, models=(), mistakes=())))
    assert [section.attributes["id"] for section in unknown.all("section")] == ["uncertain"]
    assert unknown.one("h1").words == "Doubtful images of animals"
    perfect = parse(mistakes_page(results(tmp_path, mistakes=())))
    assert "Every evaluation image is classified correctly" in perfect.by_id("mistakes").words


def test_page_loads_nothing_and_runs_no_script(tmp_path: Path) -> None:
    page = parse(mistakes_page(results(tmp_path)))

    assert not list(page.all("script"))
    policy = next(
        meta.attributes["content"] for meta in page.all("meta") if len(meta.attributes) == 2
    )
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert all(image.attributes["src"].startswith("data:image/jpeg") for image in page.all("img"))
    links = [link.attributes["href"] for link in page.all("a")]
    assert {link for link in links if not link.startswith("#")} == {"index.html"}


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
    html = mistakes_page(hostile)
    page = parse(html)

    assert [element.tag for element in page.all()] == [
        element.tag for element in parse(mistakes_page(calm)).all()
    ]
    assert html.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", html)
    expected = re.sub(r"[\x00\x1b\ud800]", "\ufffd", text)
    assert page.by_id("mistakes").one("bdi").text == expected
