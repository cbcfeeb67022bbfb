"""The page of a run: its content, its policy, and hostile texts."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from latte.components.reporters import HtmlOptions, HtmlReporter
from latte.interfaces import (
    ClassifiedImage,
    Described,
    GalleryEntry,
    ImageReference,
    Interval,
    RunResults,
)
from latte.report.page.page import run_page
from latte.report.page.sheets import copies_sentence
from tests.helpers.describe_doubles import context
from tests.helpers.html_document import Element, parse
from tests.helpers.report_examples import (
    ADAPTED,
    HOSTILE,
    ZERO_SHOT,
    changed,
    picture,
    remeasured,
    run_model,
    run_results,
    steps,
)
from tests.helpers.snapshots import assert_snapshot, outline

pytestmark = pytest.mark.thorough

SECTIONS = (
    "photos",
    "gallery",
    "result",
    "classes",
    "confusions",
    "curves",
    "labels",
    "prototypes",
    "recipe",
)
FOLDED = SECTIONS[2:]
"""Sections that are under a fold, as they say how the run was made."""
LOADING = ("src", "href", "srcset", "data", "action", "poster", "xlink:href", "background")


def document(results: RunResults, **options: int) -> Element:
    return parse(run_page(results, **options))


def cells(row: Element) -> list[str]:
    return [" ".join(cell.text.split()) for cell in row.all() if cell.tag in ("th", "td")]


def rows(table: Element) -> list[list[str]]:
    return [cells(row) for row in table.one("tbody").all("tr")]


def test_one_page_is_written_below_the_run_folder(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    files = HtmlReporter(HtmlOptions(), context(tmp_path)).report(results)

    page = results.folder / "report" / "index.html"
    assert files == [page]
    assert [path for path in results.folder.rglob("*") if path.is_file()] == [page]
    assert page.read_text(encoding="utf-8") == run_page(results)


def test_every_section_has_a_heading_and_a_link_to_it(tmp_path: Path) -> None:
    page = document(run_results(tmp_path))

    assert [section.attributes["id"] for section in page.all("section")] == list(SECTIONS)
    assert all(section.one("h2").text for section in page.all("section"))
    links = [link.attributes["href"] for link in page.one("nav").all("a")]
    assert links == ["#photos", "#classes", "#gallery", "#made"]
    ids = {element.attributes.get("id") for element in page.all()}
    assert {link.removeprefix("#") for link in links} <= ids
    folds = list(page.all("details", "fold"))
    folded = [section.attributes["id"] for fold in folds for section in fold.all("section")]
    assert folded == list(FOLDED)
    assert not any("open" in fold.attributes for fold in folds)
    assert len(list(page.all("h1"))) == 1


def test_nothing_is_loaded_from_outside(tmp_path: Path) -> None:
    page = document(run_results(tmp_path))

    addresses = [
        value
        for element in page.all()
        for name, value in element.attributes.items()
        if name in LOADING
    ]
    assert addresses
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)
    assert not list(page.all("link"))
    assert "url(" not in page.one("style").text
    assert "@import" not in page.one("style").text


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(tmp_path: Path) -> None:
    page = document(run_results(tmp_path))
    policy = next(
        meta.attributes["content"]
        for meta in page.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    )

    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    for tag in ("style", "script"):
        (element,) = page.all(tag)
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not any("style" in element.attributes for element in page.all())
    assert not any(name.startswith("on") for element in page.all() for name in element.attributes)


def test_snapshot_of_the_page(tmp_path: Path) -> None:
    metrics = (*steps(5, agreement=0.9, logit_scale=4.6), *run_results(tmp_path).metrics)
    assert_snapshot("run_page.txt", outline(document(run_results(tmp_path, metrics=metrics))))


def test_top5_is_shown_only_where_it_can_fail(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(6))
    six = run_model("zero-shot", (50,) * 6, images=(60,) * 6)
    results = run_results(
        tmp_path,
        class_names=names,
        models=(six, run_model("adapted", (50,) * 6, Interval(0, 0, 0), (60,) * 6)),
        pseudo_label_counts=((1, 1),) * 6,
        gallery=(),
        prototypes=(),
    )

    assert "Top-5" in document(results).by_id("result").one("thead").text
    assert "Top-5" not in document(run_results(tmp_path)).by_id("result").one("thead").text


def test_the_result_has_the_colour_of_its_tone(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    worse = remeasured(ADAPTED, gain=Interval(-0.03, -0.05, -0.01))

    assert "better" in document(results).one("div", "result").attributes["class"].split()
    harmed = document(run_results(tmp_path, models=(ZERO_SHOT, worse))).one("div", "result")
    assert "worse" in harmed.attributes["class"].split()
    assert "lost 3.0 points" in harmed.words


def test_without_labels_no_accuracy_is_stated(tmp_path: Path) -> None:
    results = run_results(tmp_path, models=(), metrics=tuple(steps(10, agreement=0.9)))
    page = document(results)

    assert "accuracy is unknown" in page.one("div", "result").text
    result = page.by_id("result")
    assert not list(result.all("table"))
    assert "The adapted model gives 4,345 of 12,345 training images (35.2 %)" in result.words
    assert "Top-1" not in page.by_id("curves").text
    assert "Label agreement" in page.by_id("curves").text


def test_without_labels_the_page_has_no_empty_sections_and_no_cosines(tmp_path: Path) -> None:
    results = run_results(tmp_path, models=(), confusions={}, metrics=(), gallery=())
    page = document(results, gallery_images=0)
    assert [section.attributes["id"] for section in page.all("section")] == [
        "photos",
        "result",
        "labels",
        "recipe",
    ]
    links = [link.attributes["href"] for link in page.one("nav").all("a")]
    assert links == ["#photos", "#made"]


def test_a_class_has_a_card_and_a_contact_sheet(tmp_path: Path) -> None:
    pictures = [picture(tmp_path, f"{number}.png", "red") for number in range(12)]
    surest, doubtful = (0.9,) * 8, (0.4,) * 4
    examples = [
        ClassifiedImage(image, (1,), (confidence,), 0, None)
        for image, confidence in zip(pictures, (*surest, *doubtful), strict=True)
    ]
    examples += [ClassifiedImage(pictures[0], (2,), (0.5,), 0, None)]
    results = run_results(tmp_path, models=(), examples=tuple(examples))
    page = document(results)
    cards = page.by_id("photos")
    assert [len(list(card.all("img"))) for card in cards.all("article")] == [5, 0, 1]
    assert next(cards.all("h3")).words == "red fox 7,345 photos"
    section = page.by_id("images")
    assert [heading.words for heading in section.all("h3")] == [
        "red fox 7,345 images",
        "barn owl 0 images",
    ]
    images = list(section.all("img"))
    assert len(images) == 13
    assert images[0].attributes["alt"] == "0.png, 90\u202f%"
    assert len(list(section.all("li", "doubtful"))) == 4


@pytest.mark.parametrize(("pairs", "number"), [(49, "49 series"), (50, "50 or more series")])
def test_results_have_pairs_of_the_first_fifty_series(
    tmp_path: Path, pairs: int, number: str
) -> None:
    sentence = copies_sentence(run_results(tmp_path, near_copies=(("a.jpg", "b.jpg"),) * pairs))
    assert sentence is not None and sentence.startswith(f"{number} of near-copies")


def test_without_labels_and_texts_the_sheets_replace_the_gallery(tmp_path: Path) -> None:
    results = run_results(tmp_path, models=(), near_copies=(("a.jpg", "<b>.jpg"),) * 2)
    shown = ClassifiedImage(results.gallery[0].image, (0,), (0.9,), 0, None)
    textless = tuple(replace(entry, descriptions={}) for entry in results.gallery)
    pages = [
        document(replace(results, examples=examples, gallery=gallery))
        for examples, gallery in (((shown,), results.gallery), ((shown,), textless), ((), textless))
    ]
    sections = [{section.attributes["id"] for section in page.all("section")} for page in pages]
    assert ["gallery" in ids for ids in sections] == [True, False, True]
    copies = next(section for section in pages[1].all("details") if "near-copies" in section.words)
    assert (
        "2 series of near-copies, each of which answers count once, such as a.jpg and <b>.jpg"
        in copies.words
    )


def test_learners_have_charts_of_their_own(tmp_path: Path) -> None:
    metrics = [
        {"event": "step", "step": 1, "epoch": 0, "text.loss": 2.0, "visual.loss": 3.0},
        {"event": "step", "step": 2, "epoch": 0, "text.loss": 1.0, "visual.loss": 2.0},
    ]
    section = document(run_results(tmp_path, metrics=tuple(metrics))).by_id("curves")

    titles = [figure.one("strong").words for figure in section.all("figure")]
    assert titles == ["Loss, text", "Loss, visual"]


def test_a_run_without_steps_has_no_curves(tmp_path: Path) -> None:
    assert 'id="curves"' not in run_page(run_results(tmp_path, metrics=()))


def test_a_class_without_evaluation_images_claims_nothing(tmp_path: Path) -> None:
    images = (200, 0, 80)
    pair = (
        run_model("zero-shot", (100, 0, 60), images=images),
        run_model("adapted", (130, 0, 60), Interval(0.1, 0.05, 0.15), images=images),
    )
    section = document(run_results(tmp_path, models=pair)).by_id("classes")

    complete = list(section.all("table"))[-1]
    assert rows(complete)[-1] == ["red fox", "0", "no evaluation images"]
    assert "1 had no evaluation image" in section.words


def test_true_labels_of_training_images_are_marked_as_information(tmp_path: Path) -> None:
    text = document(run_results(tmp_path)).by_id("labels").one("p", "caution").words

    assert text.startswith("For information only")
    assert "of 2 sampled training images with a known label" in text
    assert "zero-shot pseudo-label is right for 1 (50 %) and the adapted one for 2 (100 %)" in text


def test_without_known_labels_nothing_is_said_about_their_quality(tmp_path: Path) -> None:
    unknown = tuple(replace(image, true_label=None) for image in run_results(tmp_path).gallery)
    page = document(run_results(tmp_path, gallery=unknown))

    assert not list(page.by_id("labels").all("p", "caution"))
    assert not list(page.by_id("gallery").all(css_class="mark"))


def test_a_card_has_the_pictures_of_image_and_group(tmp_path: Path) -> None:
    card = next(document(run_results(tmp_path)).by_id("gallery").all("li", "card"))
    assert [image.attributes["alt"] for image in card.all("img")] == [
        "Training image red.png",
        "Image of the group: red.png",
        "Image of the group: green.png",
    ]


def test_every_text_of_a_description_is_shown(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    description = Described("a fox", (), ("an animal", "something <red>"))
    entry = replace(results.gallery[0], descriptions={"image": description})
    html = run_page(changed(results, gallery=(entry,)))
    for text in ("a fox", "an animal", "something &lt;red&gt;"):
        assert f'<p dir="auto">{text}</p>' in html


def test_options_set_the_number_and_size_of_images(tmp_path: Path) -> None:
    section = document(run_results(tmp_path), gallery_images=1, thumbnail_size=40).by_id("gallery")

    (card,) = section.all("li", "card")
    sizes = [(image.attributes["width"], image.attributes["height"]) for image in card.all("img")]
    assert sizes == [("40", "20"), ("32", "32"), ("32", "32")]
    assert 'id="gallery"' not in run_page(run_results(tmp_path), gallery_images=0)


@pytest.mark.parametrize(("size", "shown"), [((600, 1), ("40", "1")), ((1, 600), ("1", "40"))])
def test_thumbnail_of_a_very_long_image_is_at_least_one_pixel_wide(
    size: tuple[int, int], shown: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "long.png"
    Image.new("RGB", size).save(path)
    entry = GalleryEntry(ImageReference(path.name, path), {}, 0, 0, None)
    results = run_results(tmp_path, gallery=(entry,))
    (picture,) = document(results, thumbnail_size=40).by_id("gallery").all("img")
    assert (picture.attributes["width"], picture.attributes["height"]) == shown


def test_an_image_that_cannot_be_read_leaves_a_placeholder(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    entries = tuple(
        GalleryEntry(ImageReference(path.name, path), {}, 0, 0, None)
        for path in (broken, tmp_path / "missing.jpg")
    )
    section = document(run_results(tmp_path, gallery=entries)).by_id("gallery")

    assert [
        placeholder.attributes["aria-label"] for placeholder in section.all(css_class="placeholder")
    ] == [
        "Training image broken.jpg, cannot be read",
        "Training image missing.jpg, cannot be read",
    ]


def test_the_page_has_recipe_environment_and_loading_code(tmp_path: Path) -> None:
    loading, recipe, environment = document(run_results(tmp_path)).by_id("recipe").all("pre")
    assert "local-dir:" in loading.text
    assert "model: hf-hub:someone/some-clip" in recipe.text
    assert "torch: 2.13.0" in environment.text


def test_secrets_of_a_recipe_are_hidden(tmp_path: Path) -> None:
    recipe = {"describer": {"use": "remote", "api_key": "sk-123", "max_tokens": 77}}
    html = run_page(run_results(tmp_path, recipe=recipe))

    assert "sk-123" not in html
    assert "max_tokens: 77" in html


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts(text: str, tmp_path: Path) -> None:
    calm = document(run_results(tmp_path))
    results = run_results(tmp_path)
    described = replace(
        results.gallery[0],
        image=ImageReference(text, results.gallery[0].image.path),
        descriptions={text: Described(text), "group": results.gallery[0].descriptions["group"]},
    )
    hostile = changed(
        results,
        name=text,
        class_names=(text, *results.record.data.class_names[1:]),
        environment={text: text},
        recipe={**results.record.recipe, "dataset": {"use": text}},
        seconds=dict(zip((text, "train"), results.record.seconds.values(), strict=True)),
        models=(ZERO_SHOT, ADAPTED, run_model(text, (1, 1, 1), Interval(0.0, -0.1, 0.1))),
        gallery=(described, *results.gallery[1:]),
    )
    html = run_page(hostile)
    page = parse(html)

    assert [element.tag for element in page.all()] == [element.tag for element in calm.all()]
    assert html.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", html)
    expected = re.sub(r"[\x00\x1b\ud800]", "\ufffd", text)
    names = [
        th.text.strip() for th in page.by_id("labels").all("th") if th.attributes["scope"] == "row"
    ]
    assert expected.strip() in names


def test_the_same_results_make_the_same_page(tmp_path: Path) -> None:
    assert run_page(run_results(tmp_path)) == run_page(run_results(tmp_path))


def test_a_page_lists_at_most_so_many_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte.report.page.page.MOST_CLASSES", 2)
    page = document(run_results(tmp_path))
    for section, file in (("classes", "results.json"), ("labels", "pseudo_labels.csv")):
        tables = page.by_id(section).all("table")
        assert 2 in [len(rows(table)) for table in tables]
        assert f"The first 2; {file} has all." in " ".join(page.by_id(section).text.split())


def test_the_title_names_model_and_data(tmp_path: Path) -> None:
    recipe = {
        "dataset": {"use": "folder", "root": "/private/photos"},
        "backbone": {"model": "ViT-B-32"},
    }
    title = parse(run_page(run_results(tmp_path, recipe=recipe))).one("title").words
    assert title == "animals: ViT-B-32 on folder photos – latte report"
