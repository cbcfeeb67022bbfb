"""The contact sheet: the page's questions in the page's order, and a CSV to fill in."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path

import pytest
from PIL import Image

from latte.cli.main import run_command_line
from latte.interfaces import ImageReference, LatteError
from latte.io.files import digest
from latte.review.contact_sheet import picture_of, refuse_existing, write_sheet
from latte.review.importing import import_answers
from latte.review.session import Review
from tests.helpers.html_document import parse
from tests.helpers.reviews import answer_all, made_up_review, square, without

NAMES = ("<b>cat</b>", 'a "dog", wet', "bird")


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path / "run", NAMES)


def fill(path: Path, review: Review, count: int) -> None:
    """Answer the first `count` rows with the adapted model's label."""
    label_of = {f"{one.row}.jpg": NAMES[one.adapted] for one in review.population.images}
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    for row in rows[:count]:
        row["label"] = label_of[row["image"]]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("images", [200, 40])
def test_a_filled_sheet_gives_the_estimate_of_the_browser(tmp_path: Path, images: int) -> None:
    # With 40 images, the questions go beyond the half of the images that never teaches.
    review = made_up_review(tmp_path / "run", NAMES, images)
    browser = made_up_review(tmp_path / "browser", NAMES, images)
    _, table, _ = write_sheet(review, 40, square, tmp_path / "sheet")
    asked = [row["image"] for row in csv.DictReader(io.StringIO(table.read_text()))]
    assert len(asked) == 40
    for count in (7, 40):
        fill(table, review, count)
        import_answers(review, table)
        answer_all(browser, "adapted", count - len(browser.answers()))
        assert review.evidence()[0].estimate == browser.evidence()[0].estimate
    assert asked == [f"{browser.run.training_keys.index(key)}.jpg" for key in browser.answers()]


def test_a_second_sheet_goes_on_after_the_first(review: Review, tmp_path: Path) -> None:
    together = [one.images[0].key for one in review.upcoming(12)]
    _, table, _ = write_sheet(review, 5, square, tmp_path / "sheet")
    fill(table, review, 5)
    import_answers(review, table)
    assert [one.images[0].key for one in review.upcoming(7)] == together[5:]


def test_the_page_has_small_pictures_and_escaped_names(review: Review, tmp_path: Path) -> None:
    page, _, _ = write_sheet(review, 6, square, tmp_path / "sheet")
    text = page.read_text()
    assert "<b>cat" not in text
    document = parse(text)
    pictures = [*document.all("img")]
    assert [one.attributes["alt"] for one in pictures] == [f"Image {n}" for n in range(1, 7)]
    start, data = str(pictures[0].attributes["src"]).split(",")
    assert start == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).format == "JPEG"
    assert not [*document.all("script"), *document.all("link")]
    assert [one.words for one in document.all("li")] == [*NAMES]
    assert "the name of a class, none of these or cannot tell" in document.one("body").words


def test_the_page_says_no_model_and_offers_both_labels_in_random_order(
    review: Review, tmp_path: Path
) -> None:
    page, table, _ = write_sheet(review, 60, square, tmp_path / "sheet")
    words = parse(page.read_text()).one("body").words.lower()
    for word in ("zero-shot", "adapted", "clip", "confidence", "agree"):
        assert word not in words
        assert word not in table.read_text()
    first = [
        one.options[0] == one.images[0].adapted
        for one in review.upcoming(60)
        if one.images[0].disagrees
    ]
    assert 0.25 < sum(first) / len(first) < 0.75


def test_an_image_that_cannot_be_shown_is_not_asked_and_leaves_no_gap(
    review: Review, tmp_path: Path
) -> None:
    first, *others = (one.images[0].row for one in review.upcoming(3))
    page, table, gone = write_sheet(review, 3, without(first), tmp_path / "sheet")
    assert gone == 1
    assert page.read_text().count("<img") == 2
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["image"] for row in rows] == [f"{row}.jpg" for row in (*others, first)]
    assert [row["label"] for row in rows] == ["", "", "cannot tell"]
    fill(table, review, 2)
    import_answers(review, table)
    found = review.evidence()[0].estimate
    assert (found.answered, found.unsure, found.waiting) == (3, 1, 0)
    with pytest.raises(LatteError, match="the images have changed since this run") as caught:
        write_sheet(review, 3, without(*range(200)), tmp_path / "other")
    assert "make the run again: latte run" in str(caught.value.hint)
    assert not (tmp_path / "other").exists()


def test_a_picture_shows_the_content_of_the_run_or_nothing(tmp_path: Path) -> None:
    names = ["same.jpg", "other.jpg", "gone.jpg", "gone copy.jpg"]
    for name, row in zip(names, (0, 1, 2, 0), strict=True):
        (tmp_path / name).write_bytes(square(row))
    keys = [digest((tmp_path / name).read_bytes()) for name in names]
    (tmp_path / "other.jpg").write_bytes(square(0))
    images = [ImageReference(name, tmp_path / name) for name in names[:2]]
    picture = picture_of(names, keys, images)
    for row in (0, 3):
        assert Image.open(io.BytesIO(picture(row, 32))).size == (32, 24)
    for row in (1, 2):
        with pytest.raises(LatteError):
            picture(row, 32)


def test_sheet_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sheet").touch()
    with pytest.raises(LatteError, match="sheet is not a folder"):
        refuse_existing(tmp_path / "sheet")


def test_filled_answers_are_not_overwritten_and_an_end_is_reported(
    review: Review, tmp_path: Path
) -> None:
    refuse_existing(tmp_path / "sheet")
    write_sheet(review, 2, square, tmp_path / "sheet")
    with pytest.raises(LatteError, match="there is a sheet already"):
        refuse_existing(tmp_path / "sheet")
    answer_all(review, "adapted", 200)
    with pytest.raises(LatteError, match="every image is answered"):
        write_sheet(review, 2, square, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_sheet_for_teaching_asks_about_images_that_teach(review: Review, tmp_path: Path) -> None:
    page, table, _ = write_sheet(review, 12, square, tmp_path / "sheet", teaches=True)
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert {row["use"] for row in rows} == {"teaching"}
    assert len({row["image"] for row in rows}) == 12
    assert "leave no gap" not in page.read_text()
    fill(table, review, 12)
    assert [one.use for one in import_answers(review, table)] == ["teaching"] * 12


def test_a_sheet_for_teaching_leaves_out_images_that_cannot_be_shown(
    review: Review, tmp_path: Path
) -> None:
    first, *others = (one.images[0].row for one in review.upcoming(3, "balanced"))
    sheet = tmp_path / "sheet"
    _, table, gone = write_sheet(review, 3, without(first), sheet, teaches=True)
    assert gone == 1
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["image"] for row in rows] == [f"{row}.jpg" for row in others]


def test_teach_needs_a_sheet_of_a_single_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("latte.cli.review._picture", lambda opened: square)
    runs = [str(made_up_review(tmp_path / name, NAMES).run.folder.path) for name in ("a", "b")]
    assert run_command_line(["review", runs[0], "--teach"]) == 2
    assert "--sheet" in capsys.readouterr().err
    assert run_command_line(["review", *runs, "--sheet", str(tmp_path / "s"), "--teach"]) == 2
    assert "name one run" in capsys.readouterr().err
    assert run_command_line(["review", runs[0], "--sheet", str(tmp_path / "s"), "--teach"]) == 0


def test_the_import_command_can_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("latte.cli.review._picture", lambda opened: square)
    made_up_review(tmp_path / "my run", NAMES)
    assert run_command_line(["review", "my run", "--sheet", "a sheet"]) == 0
    said = capsys.readouterr().out
    assert "then: latte review 'my run' --import 'a sheet/answers.csv'" in said
