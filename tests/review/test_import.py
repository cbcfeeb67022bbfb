"""Answers from files: CSV, Label Studio and FiftyOne, each refused before anything is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from latte.cli.main import run_command_line
from latte.interfaces import ImageReference, LatteError
from latte.interfaces.progress import SilentProgress
from latte.registry.registry import load_registry
from latte.results.answers import read_answers
from latte.results.folder import RunFolder
from latte.results.run import Run
from latte.review.importing import import_answers
from latte.review.learning import learn
from latte.review.population import teaches
from latte.review.session import Review
from tests.helpers.reviews import made_up_review

NAMES = ("cat", "dog", "bird")
EVIDENCE = [f"{number}.jpg" for number in range(200) if not teaches(f"key {number}")]
TEACHING = [f"{number}.jpg" for number in range(200) if teaches(f"key {number}")]


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return made_up_review(tmp_path / "run", NAMES)


def csv_file(folder: Path, *rows: str, header: str = "image,label") -> Path:
    path = folder / "answers.txt"
    path.write_text("".join(f"{line}\n" for line in (header, *rows)), encoding="utf-8")
    return path


def json_file(folder: Path, content: Any) -> Path:
    path = folder / "answers.txt"
    path.write_text(json.dumps(content))
    return path


def task(image: str, *annotations: Sequence[str], **data: str) -> dict[str, Any]:
    """Return a task of a Label Studio export, with one annotation per list of choices."""
    results = [
        [{"type": "choices", "from_name": "label", "value": {"choices": [*choices]}}]
        for choices in annotations
    ]
    return {
        "id": 1,
        "data": {"image": image, **data},
        "annotations": [{"id": 1, "result": result} for result in results],
    }


def review_use(number: int) -> str:
    return "teaching" if teaches(f"key {number}") else "evidence"


def contents(review: Review) -> dict[str, tuple[str, str | None, str]]:
    """Return kind, label and use of the answer about each image."""
    return {one.image: (one.kind, one.label, one.use) for one in review.answers().values()}


def test_draw_makes_a_row_evidence_or_teaching(review: Review, tmp_path: Path) -> None:
    evidence, other, unsure, taught = *EVIDENCE[:3], TEACHING[0]
    rows = (f"{evidence},cat", f"{other},none of these", f"{unsure},cannot tell", f"{taught}, dog ")
    assert len(import_answers(review, csv_file(tmp_path, *rows, f"{TEACHING[1]},"))) == 4
    assert contents(review) == {
        evidence: ("class", "cat", "evidence"),
        other: ("none", None, "evidence"),
        unsure: ("unsure", None, "evidence"),
        taught: ("class", "dog", "teaching"),
    }


def test_all_three_formats_give_the_same_answers(review: Review, tmp_path: Path) -> None:
    first, second = EVIDENCE[0], TEACHING[0]
    import_answers(review, csv_file(tmp_path, f"{first},dog", f"{second},none of these"))
    expected = contents(review)
    tasks = [
        task(first, ["dog"]),
        task("/data/local-files/?d=a/b.jpg", ["none of these"], image_id=second),
        task(EVIDENCE[1]),
        {**task(EVIDENCE[2], ["cat"]), "annotations": [{"was_cancelled": True, "result": []}]},
    ]
    fiftyone = {
        "classes": ["none of these", "dog"],
        "labels": {first.removesuffix(".jpg"): 1, second: {"label": 0}, "5": None},
    }
    for content in (tasks, fiftyone):
        review.file.unlink()
        assert len(import_answers(review, json_file(tmp_path, content))) == 2
        assert contents(review) == expected


def test_paths_and_names_in_another_unicode_form_are_the_same(tmp_path: Path) -> None:
    names = ("K\u00e4fer", "dog", "bird")
    review = made_up_review(tmp_path / "run", names)
    path = review.run.folder.training_images
    path.write_text(path.read_text().replace('"3.jpg"', '"M\u00fcller/3.jpg"'))
    review = Review(Run(RunFolder(tmp_path / "run")))
    expected = {"M\u00fcller/3.jpg": ("class", "K\u00e4fer", review_use(3))}
    fiftyone = {"classes": ["ka\u0308fer"], "labels": {"Mu\u0308ller/3": 0}}
    for file in (
        csv_file(tmp_path, "Mu\u0308ller/3.jpg,Ka\u0308fer"),
        json_file(tmp_path / "run", fiftyone),
    ):
        assert len(import_answers(review, file)) == 1
        assert contents(review) == expected
        review.file.unlink()


def test_absolute_paths_below_the_images_of_the_run_are_ids(
    review: Review, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, link = tmp_path / "photos", tmp_path / "link"
    photos.mkdir()
    link.symlink_to(photos)
    images = [ImageReference(image, photos / image) for image in (*EVIDENCE, *TEACHING)]
    monkeypatch.setattr("latte.run.reopen.training_images", lambda *given: images)
    rows = (f"{photos / EVIDENCE[0]},cat", f"{link / EVIDENCE[1]},dog", f"{EVIDENCE[2]},bird")
    found = import_answers(review, csv_file(tmp_path, *rows, header="path,class"))
    assert [(one.image, one.label) for one in found] == [
        (EVIDENCE[0], "cat"),
        (EVIDENCE[1], "dog"),
        (EVIDENCE[2], "bird"),
    ]
    other = str(tmp_path / "elsewhere" / EVIDENCE[0])
    with pytest.raises(LatteError, match="this run has no image") as caught:
        import_answers(review, csv_file(tmp_path, f"{other},cat"))
    assert caught.value.where == f"{tmp_path / 'answers.txt'}:2"


def test_semicolons_and_the_columns_path_and_class_are_read(review: Review, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"{EVIDENCE[0]};dog", header="path;class")
    assert [one.label for one in import_answers(review, path)] == ["dog"]


def test_importing_twice_changes_nothing(review: Review, tmp_path: Path) -> None:
    path = csv_file(tmp_path, f"{EVIDENCE[0]},cat", f"{TEACHING[0]},dog", f"{EVIDENCE[0]},cat")
    assert len(import_answers(review, path)) == 2
    before = review.file.read_bytes()
    assert len(import_answers(review, path)) == 0
    assert review.file.read_bytes() == before
    assert len(import_answers(review, csv_file(tmp_path, f"{EVIDENCE[0]},bird"))) == 1
    assert contents(review)[EVIDENCE[0]] == ("class", "bird", "evidence")
    assert len(read_answers(review.file)) == 3


def test_an_image_keeps_the_use_of_its_earlier_answer(review: Review, tmp_path: Path) -> None:
    header = "image,label,use"
    rows = (f"{TEACHING[0]},cat,evidence", f"{TEACHING[1]},cat,")
    import_answers(review, csv_file(tmp_path, *rows, header=header))
    import_answers(review, csv_file(tmp_path, f"{TEACHING[0]},dog"))
    found = contents(review)
    assert found[TEACHING[0]] == ("class", "dog", "evidence")
    assert found[TEACHING[1]] == ("class", "cat", "teaching")


@pytest.mark.parametrize("use", ["evidence", "teaching"])
def test_an_image_whose_answer_has_the_other_use_is_refused(
    review: Review, tmp_path: Path, use: str
) -> None:
    header, other = "image,label,use", "teaching" if use == "evidence" else "evidence"
    import_answers(review, csv_file(tmp_path, f"{TEACHING[0]},cat,{use}", header=header))
    before = review.file.read_bytes()
    rows = (f"{TEACHING[1]},cat,{use}", f"{TEACHING[0]},dog,{other}")
    with pytest.raises(LatteError, match="never both") as caught:
        import_answers(review, csv_file(tmp_path, *rows, header=header))
    assert caught.value.where == f"{tmp_path / 'answers.txt'}:3"
    assert review.file.read_bytes() == before


GOOD = f"{EVIDENCE[0]},cat"


@pytest.mark.parametrize(
    ("rows", "header", "what", "hint"),
    [
        ((GOOD, "199.jpeg,cat"), "image,label", 'no image "199.jpeg"', '"199.jpg"'),
        ((GOOD, f"{EVIDENCE[1]},catt"), "image,label", "unknown class 'catt'", '"cat"'),
        ((GOOD, f"{EVIDENCE[1]},canot tell"), "image,label", "canot", '"cannot tell"'),
        ((GOOD, f"{EVIDENCE[0]},dog"), "image,label", ":2 has another answer", ""),
        (
            (GOOD + ",", f"{EVIDENCE[1]},cat,teaching"),
            "image,label,use",
            "a random draw",
            "leave the column use empty",
        ),
        ((GOOD + ",", f"{EVIDENCE[1]},cat,training"), "image,label,use", "no use", "teaching"),
        ((GOOD, f"{EVIDENCE[1]},cat,dog"), "image,label", "3 values for 2", "quotes"),
        ((GOOD, ",cat"), "image,label", "is empty", ""),
    ],
)
def test_a_wrong_row_is_refused_with_its_line_and_nothing_is_written(
    review: Review, tmp_path: Path, rows: Sequence[str], header: str, what: str, hint: str
) -> None:
    path = csv_file(tmp_path, *rows, header=header)
    with pytest.raises(LatteError) as caught:
        import_answers(review, path)
    assert caught.value.where == f"{path}:3"
    assert what in caught.value.what
    assert hint in (caught.value.hint or "")
    assert not review.file.exists()


@pytest.mark.parametrize(
    ("content", "place", "what"),
    [
        ([task("0.jpg", ["cat"]), task("x.jpg", ["cat"])], ": task 2", "no image"),
        ([task("0.jpg", ["cat"]), task("1.jpg", ["cta"])], ": task 2", "class 'cta'"),
        ([task("0.jpg", ["cat"], ["dog"])], ": task 1", "another answer"),
        ([task("0.jpg", ["cat", "dog"])], ": task 1", "not several"),
        ([{"data": {"image": "0.jpg"}}], "", "annotations"),
        ([{"id": 1, "label": "cat"}], "", "data"),
        ({"classes": ["cat"], "labels": {"0": 0, "nothing": 0}}, ": labels.nothing", "no image"),
        ({"classes": ["cat"], "labels": {"0": 1}}, ": labels.0", "not an index"),
        ({"classes": ["cat"], "labels": {"0": True}}, "", "labels"),
        ({"labels": {"0": 0}}, "", "classes"),
    ],
)
def test_a_wrong_export_is_refused_with_its_place(
    review: Review, tmp_path: Path, content: Any, place: str, what: str
) -> None:
    path = json_file(tmp_path, content)
    with pytest.raises(LatteError) as caught:
        import_answers(review, path)
    assert caught.value.where == f"{path}{place}"
    assert what in caught.value.what
    assert not review.file.exists()


@pytest.mark.parametrize("content", [b"[", b"{", b"[" * 100_000, b"\xff", b"a,b\n1,2\n", b'"a\n'])
def test_other_files_are_refused_by_the_command(
    review: Review, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answers.txt"
    path.write_bytes(content)
    folder = str(review.run.folder.path)
    assert run_command_line(["review", folder, "--import", str(path)]) == 2
    assert str(path) in capsys.readouterr().err
    assert run_command_line(["review", folder, "--import", f"{path}.csv"]) == 2
    assert "answers.txt" in capsys.readouterr().err
    assert not review.file.exists()


def test_teaching_images_of_a_run_that_has_learned_can_be_answered(tmp_path: Path) -> None:
    first = made_up_review(tmp_path / "first", NAMES)
    review = made_up_review(tmp_path / "run", NAMES, corrections="../first/review.jsonl")
    assert len(import_answers(review, csv_file(tmp_path, f"{TEACHING[0]},cat"))) == 1
    assert read_answers(first.file)[0].use == "teaching"


def test_the_command_says_how_many_answers_teach_and_why_the_others_do_not(
    review: Review, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next(one.row for one in review.population.disagreements)
    evidence = [f"{first}.jpg", *(one for one in EVIDENCE if one != f"{first}.jpg")]
    rows = [f"{image},cat" for image in (*evidence[:3], *TEACHING[:4])]
    path = csv_file(tmp_path, *rows, f"{TEACHING[4]},none of these")
    assert run_command_line(["review", str(review.run.folder.path), "--import", str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("After 1 answer:")
    assert "review.jsonl: 4 teach, 3 only measure the gain, 1 without a class" in printed.err
    said = " ".join(printed.err.split())
    assert "a random draw decides" in said
    assert "unless the column use says evidence" in said
    assert "latte adapt IMAGES --test FILE" in said


def test_answers_that_do_not_count_yet_are_not_called_no_answer(
    review: Review, tmp_path: Path
) -> None:
    differ = {one.row for one in review.population.disagreements}
    agreed = next(image for image in EVIDENCE if int(image.removesuffix(".jpg")) not in differ)
    later = f"{review.population.disagreements[2].row}.jpg"
    import_answers(review, csv_file(tmp_path, *(f"{one},cat" for one in (agreed, TEACHING[0]))))
    found = review.evidence()
    assert (found.teaching, found.estimate.agreeing, found.estimate.waiting) == (1, 1, 0)
    assert "2 answers: 1 for teaching, 1 about images on which the models agree" in found.sentence
    import_answers(review, csv_file(tmp_path, f"{later},cat"))
    found = review.evidence()
    assert found.estimate.waiting == 1
    assert "3 answers" in found.sentence
    assert "1 waiting for answers about earlier images" in found.sentence


def test_answers_that_only_measure_are_named_if_nothing_can_be_learned(
    review: Review, tmp_path: Path
) -> None:
    import_answers(review, csv_file(tmp_path, f"{EVIDENCE[0]},cat"))
    with pytest.raises(LatteError, match="0 teach, 1 only measures the gain"):
        learn(review, load_registry(), SilentProgress())
