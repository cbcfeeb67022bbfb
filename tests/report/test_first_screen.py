"""The first screen of a run's page: headline, chart, next step, class cards and the map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
import torch

from latte.interfaces import ClassifiedImage, RunResults, Verdict
from latte.models.photo_places import principal_places
from latte.report.page.first_screen import first_screen
from latte.report.page.page import run_page
from latte.report.statements import outcome
from latte.results.class_hues import HUES
from tests.helpers.html_document import Element, parse
from tests.helpers.report_examples import picture, run_results

pytestmark = pytest.mark.usefixtures("folder_above_the_run")


def document(results: RunResults) -> Element:
    return parse(run_page(results))


def unlabelled(folder: Path, **changes: object) -> RunResults:
    return run_results(folder, **{"models": (), "confusions": {}, **changes})


def test_a_measured_run_shows_accuracy_and_gain(tmp_path: Path) -> None:
    page = document(run_results(tmp_path))
    assert page.one("h1").words == "60 % of labels are right, up from 55 %."
    proof = page.one("figure", "proof-card")
    assert proof.one("span", "pill").words == "+4 points (1 to 8)"
    assert "better" in proof.attributes["class"]
    label = proof.one("svg").attributes["aria-label"]
    assert label == "accuracy of zero-shot CLIP: 55\u202f%; accuracy of now: 60\u202f%"


def test_without_labels_the_chart_is_empty_and_says_what_fills_it(tmp_path: Path) -> None:
    page = document(unlabelled(tmp_path))
    proof = page.one("figure", "proof-card")
    assert "not known yet" in proof.words
    assert "Your answers" in proof.words
    assert "%" not in page.one("div", "hero").one("div").words
    assert page.one("div", "next").one("h2").words == "Next: name 2 groups, about 1 minute"


def test_commands_work_in_the_folder_in_which_the_run_was_started(tmp_path: Path) -> None:
    results = unlabelled(tmp_path / "adapted")
    code = document(results).one("div", "next").one("code").words
    assert code == "latte review adapted/animals-1a2b3c4d"


def test_a_page_outside_of_the_folder_of_its_run_shows_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = unlabelled(tmp_path / "secret" / "adapted")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    html = run_page(results)
    assert "latte review adapted/animals-1a2b3c4d" in html
    assert "secret" not in html


def test_names_that_clip_hardly_knows_are_the_headline(tmp_path: Path) -> None:
    verdict = Verdict(0.0, "so", names_known=False)
    page = document(unlabelled(tmp_path, verdict=verdict, unsupported=("red fox",)))
    assert page.one("h1").words == "CLIP hardly knows these names."
    assert "fits almost no photo" in page.by_id("class-1").words
    assert "as zero-shot" in page.by_id("class-0").words


def test_doubtful_photos_name_their_two_likeliest_classes(tmp_path: Path) -> None:
    photo = picture(tmp_path, "a.png", "red")
    uncertain = (
        ClassifiedImage(photo, (1, 0), (0.34, 0.3), 0, None),
        ClassifiedImage(photo, (0,), (0.004,), 0, None),
    )
    section = document(unlabelled(tmp_path, uncertain=uncertain)).by_id("doubtful")
    assert [item.one("p").words for item in section.one("ul", "doubt").all("li")] == [
        "red fox 34 %, or tabby cat",
        "tabby cat below 1 %",
    ]
    assert section.one("code").words == "latte review animals-1a2b3c4d --class 'red fox'"


def hues(results: RunResults) -> Mapping[int, str]:
    return cast("Mapping[int, str]", first_screen(results, outcome(results, "run"))["hues"])


def test_seven_of_many_classes_have_a_colour_and_all_of_few(tmp_path: Path) -> None:
    few = hues(run_results(tmp_path))
    assert [few[label] for label in range(3)] == [*HUES[:3]]
    many = run_results(
        tmp_path,
        class_names=tuple(map(str, range(40))),
        pseudo_label_counts=tuple((1, 40 - number) for number in range(40)),
        models=(),
    )
    colours = hues(many)
    assert [label for label, hue in colours.items() if hue != "kx"] == [*range(7)]
    assert [colours[label] for label in range(7)] == [*HUES[:7]]


def test_similar_features_are_close_on_the_map_and_equal_runs_have_equal_maps() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(8)[:3].repeat_interleave(20, dim=0)
    features = centres + 0.02 * torch.randn(60, 8, generator=generator)
    places = principal_places(features)
    assert places.shape == (60, 2) and places.min() >= 0 and places.max() <= 1
    within = torch.cdist(places[:20], places[:20]).mean()
    assert within < 0.2 * torch.cdist(places[:20], places[20:]).mean()
    assert torch.equal(places, principal_places(features.clone()))
