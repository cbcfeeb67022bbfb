"""Labels that a person gave, from every format; each mistake is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from latte.interfaces import ImageReference, LatteError
from latte.io.files import digest
from latte.io.workbooks import write_workbook
from latte.results.answers import Answer, append_answers
from latte.results.class_lists import digest_of_classes
from latte.results.given_labels import read_labels, refuse_useless, unknown_answers
from latte.results.named_images import NamedImages

NAMES = ("cat", "dog", "bird")


@pytest.fixture
def images(tmp_path: Path) -> NamedImages:
    """Eight images, of which the first two are files in the folder `photos`."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(2):
        (photos / f"{number}.jpg").write_bytes(b"image %d" % number)
    keys = {f"{number}.jpg": digest(b"image %d" % number) for number in range(8)}
    references = [ImageReference(image, photos / image) for image in keys]
    return NamedImages(keys, lambda: references)


def key(number: int) -> str:
    return digest(b"image %d" % number)


def csv_file(folder: Path, *rows: str, header: str = "image,label") -> Path:
    path = folder / "labels.txt"
    path.write_text("".join(f"{line}\n" for line in (header, *rows)), encoding="utf-8")
    return path


def json_file(folder: Path, content: Any) -> Path:
    path = folder / "labels.txt"
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


def labels(path: Path, images: NamedImages, names: Sequence[str] = NAMES) -> dict[str, int | None]:
    """Return the labels in a file by content key."""
    return {key: given_label.label for key, given_label in read_labels(path, images, names).items()}


def test_every_format_gives_the_same_labels(images: NamedImages, tmp_path: Path) -> None:
    expected = {key(0): 1, key(1): 0}
    tasks = [
        task("0.jpg", ["dog"]),
        task("/data/local-files/?d=a/b.jpg", ["cat"], image_id="1.jpg"),
        task("2.jpg"),
        {**task("3.jpg", ["cat"]), "annotations": [{"was_cancelled": True, "result": []}]},
    ]
    fiftyone = {"classes": ["cat", "dog"], "labels": {"0": 1, "1.jpg": {"label": 0}, "5": None}}
    assert labels(csv_file(tmp_path, "0.jpg,dog", "1.jpg, cat ", "2.jpg,"), images) == expected
    assert labels(json_file(tmp_path, tasks), images) == expected
    assert labels(json_file(tmp_path, fiftyone), images) == expected
    lines = tmp_path / "labels.jsonl"
    lines.write_text('{"path": "0.jpg", "class": "dog"}\n{"path": "1.jpg", "class": "cat"}\n')
    assert labels(lines, images) == expected
    answers = [
        Answer(key(0), "class", "cat", "images", "run", ""),
        Answer(key(1), "class", "cat", "images", "run", ""),
        Answer(key(0), "class", "dog", "evidence", "run", ""),
        Answer(key(2), "unsure", None, "evidence", "run", ""),
        Answer("key of an image that the run lacks", "class", "dog", "evidence", "run", ""),
        Answer(key(3), "class", "a class of another list", "images", "run", ""),
        Answer(key(4), "none", None, "images", "run", "", classes=digest_of_classes(["cat"])),
    ]
    append_answers(tmp_path / "review.jsonl", answers)
    assert labels(tmp_path / "review.jsonl", images) == expected
    unknown = unknown_answers(tmp_path / "review.jsonl", images, NAMES)
    assert unknown == {"a class of another list": 1}
    for name, number in (("dog", 0), ("cat", 1)):
        (tmp_path / "examples" / name).mkdir(parents=True)
        copy = tmp_path / "examples" / name / "copy.jpg"
        copy.write_bytes(b"image %d" % number)
    assert labels(tmp_path / "examples", images) == expected
    assert images.examples == {}


def test_other_labels_teach_nothing(images: NamedImages, tmp_path: Path) -> None:
    rows = ("0.jpg,none of these", "1.jpg,cannot tell")
    assert labels(csv_file(tmp_path, *rows), images) == {key(0): None, key(1): None}


def test_images_are_found_by_paths_and_in_another_unicode_form(tmp_path: Path) -> None:
    photos, link = tmp_path / "photos", tmp_path / "link"
    photos.mkdir()
    link.symlink_to(photos)
    ids = ["Müller.jpg", "1.jpg", "2.jpg", "3.jpg"]
    references = [ImageReference(image, photos / image) for image in ids]
    images = NamedImages({image: image for image in ids}, lambda: references)
    rows = (
        "Mu\u0308ller.jpg;Ka\u0308fer",
        f"{photos / '1.jpg'};dog",
        f"{link / '2.jpg'};bird",
        "photos/3.jpg;bird",
    )
    path = csv_file(tmp_path, *rows, header="path;class")
    labels_found = labels(path, images, ("K\u00e4fer", "dog", "bird"))
    assert labels_found == {"Müller.jpg": 0, "1.jpg": 1, "2.jpg": 2, "3.jpg": 2}


def test_other_images_are_examples(
    images: NamedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths start at the folder of the file, or else at the working directory."""
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.jpg").write_bytes(folder.encode())
    monkeypatch.chdir(tmp_path / "here")
    rows = ("there/there.jpg,cat", "here.jpg,dog", "0.jpg,bird")
    labels_found = labels(csv_file(tmp_path, *rows), images)
    assert labels_found == {digest(b"there"): 0, digest(b"here"): 1, key(0): 2}
    assert [image.path.name for image in images.examples.values()] == ["there.jpg", "here.jpg"]


GOOD = "0.jpg,cat"


@pytest.mark.parametrize(
    ("rows", "what", "hint"),
    [
        ((GOOD, "7.jpeg,cat"), 'no image "7.jpeg"', '"7.jpg"'),
        ((GOOD, "/elsewhere/x.png,cat"), 'no image "/elsewhere/x.png"', "pseudo_labels.csv"),
        ((GOOD, "1.jpg,catt"), "unknown class 'catt'", '"cat"'),
        ((GOOD, "1.jpg,canot tell"), "canot", '"cannot tell"'),
        ((GOOD, "0.jpg,dog"), ":2 has another label", "keep one"),
        ((GOOD, "1.jpg,cat,dog"), "3 values for 2", "quotes"),
        ((GOOD, "1.j"), "1 values for 2", ""),
        ((GOOD, ",cat"), "is empty", ""),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(
    images: NamedImages, tmp_path: Path, rows: Sequence[str], what: str, hint: str
) -> None:
    path = csv_file(tmp_path, *rows)
    with pytest.raises(LatteError) as caught:
        read_labels(path, images, NAMES)
    assert caught.value.where == f"{path}:3"
    assert what in caught.value.what
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("content", "place", "what"),
    [
        ([task("0.jpg", ["cat"]), task("x.jpg", ["cat"])], ": task 2", "no image"),
        ([task("0.jpg", ["cat"]), task("1.jpg", ["cta"])], ": task 2", "class 'cta'"),
        ([task("0.jpg", ["cat"], ["dog"])], ": task 1", "another label"),
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
    images: NamedImages, tmp_path: Path, content: Any, place: str, what: str
) -> None:
    path = json_file(tmp_path, content)
    with pytest.raises(LatteError) as caught:
        read_labels(path, images, NAMES)
    assert caught.value.where == f"{path}{place}"
    assert what in caught.value.what


@pytest.mark.parametrize("content", [b"[", b"{", b"[" * 100_000, b"\xff", b"a,b\n1,2\n", b'"a\n'])
@pytest.mark.parametrize("name", ["labels.txt", "labels.jsonl", "labels.csv"])
def test_damaged_files_are_refused_with_their_name(
    images: NamedImages, tmp_path: Path, content: bytes, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LatteError) as caught:
        read_labels(path, images, NAMES)
    assert str(caught.value.where).startswith(str(path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.jsonl", '{"image": "0.jpg", "label": "cat", "label": "dog"}'),
        ("labels.json", '{"classes": ["cat", "dog"], "labels": {"0": 0, "0": 1}}'),
        ("labels.json", '[{"data": {"image": "0.jpg", "image": "1.jpg"}, "annotations": []}]'),
    ],
)
def test_a_key_that_occurs_twice_is_refused(
    images: NamedImages, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LatteError, match="occurs twice") as caught:
        read_labels(tmp_path / name, images, NAMES)
    assert name in str(caught.value.where)


def test_an_image_beside_the_class_folders_is_refused(images: NamedImages, tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="in no class folder"):
        read_labels(tmp_path / "photos", images, NAMES)


@pytest.mark.parametrize(
    ("given_labels", "what"),
    [
        ({}, "there is no label"),
        ({"a": 1}, 'the only label is of the class "dog"'),
        ({"a": 1, "x": 1}, 'all 2 labels are of the class "dog"'),
        ({"a": 0, "b": 1}, "all 2 images have a label"),
    ],
)
def test_labels_that_leave_nothing_to_do_are_refused(
    given_labels: dict[str, int], what: str
) -> None:
    with pytest.raises(LatteError, match=what):
        refuse_useless(given_labels, ["a", "b"], NAMES, "labels.csv")
    refuse_useless({"a": 0, "x": 1}, ["a", "b"], NAMES, "labels.csv")


@pytest.fixture
def nested(tmp_path: Path) -> NamedImages:
    """Images in two folders, of which two have the same file name; one is not in the run."""
    ids = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/Mu\u0308ller.jpg", "2.png", "c/2.png"]
    references = [ImageReference(image, tmp_path / "photos" / image) for image in ids]
    (tmp_path / "photos" / "d").mkdir(parents=True)
    (tmp_path / "photos" / "d" / "left-out.jpg").write_bytes(b"left out")
    left_out = ImageReference("d/left-out.jpg", tmp_path / "photos" / "d" / "left-out.jpg")
    return NamedImages({image: image for image in ids}, lambda: [*references, left_out])


def test_a_file_name_without_its_folder_names_its_only_image(
    nested: NamedImages, tmp_path: Path
) -> None:
    rows = ("2.jpg,cat", "M\u00fcller.jpg,dog", "2.png,bird", "left-out.jpg,cat")
    labels_found = labels(csv_file(tmp_path, *rows), nested)
    expected = {"a/2.jpg": 0, "b/Mu\u0308ller.jpg": 1, "2.png": 2, digest(b"left out"): 0}
    assert labels_found == expected


def test_a_file_name_of_several_images_is_refused_with_two_of_them(
    nested: NamedImages, tmp_path: Path
) -> None:
    path = csv_file(tmp_path, "2.jpg,cat", "1.jpg,dog")
    with pytest.raises(LatteError) as caught:
        read_labels(path, nested, NAMES)
    assert str(caught.value) == (
        f'{path}:3: "1.jpg" is the file name of several images: a/1.jpg, b/1.jpg\n'
        "  write the folder, too, such as a/1.jpg or b/1.jpg"
    )


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        ("0.jpg,dog\n1.jpg,cat\n", "path,class"),
        ("0.jpg;dog\n1.jpg;cat\n", "path;class"),
        ("0.jpg\tdog\n1.jpg\tcat\n", "path\tclass"),
        ("Dog,0.jpg\ncat,1.jpg\n", "class,path"),
        ("7,0.JPG,dog\n8,1.jpg,cat\n", "column_1,path,class"),
        ("0.jpg,catt\n1.jpg,cat\n", "path,class"),
    ],
)
def test_a_table_without_header_is_refused_with_the_line_to_add(
    images: NamedImages, tmp_path: Path, lines: str, header: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(lines)
    with pytest.raises(LatteError, match="the table has no header: its first line is") as caught:
        read_labels(path, images, NAMES)
    assert caught.value.where == f"{path}:1"
    assert caught.value.hint == f"add this line above it: {header}"
    if header == "path,class" and "catt" not in lines:
        path.write_text(f"{header}\n{lines}")
        assert labels(path, images) == {key(0): 1, key(1): 0}


def test_workbooks_are_read_and_other_spreadsheets_are_refused(
    images: NamedImages, tmp_path: Path
) -> None:
    path = tmp_path / "labels.xlsx"
    write_workbook(path, [["Image", "Label"], ["0.jpg", 3], ["1.jpg", "cat"]])
    assert labels(path, images, ("cat", "3")) == {key(0): 1, key(1): 0}
    write_workbook(path, [["0.jpg", "dog"], ["1.jpg", "cat"]])
    with pytest.raises(LatteError, match="the table has no header") as caught:
        read_labels(path, images, NAMES)
    assert caught.value.hint == "add this line above it: path | class"
    with pytest.raises(LatteError, match=r"spreadsheets as \.ods are not read") as caught:
        read_labels(tmp_path / "labels.ods", images, NAMES)
    assert "save the table as .xlsx" in str(caught.value.hint)
