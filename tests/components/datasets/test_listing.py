from __future__ import annotations

import json
from pathlib import Path

import pytest

from latte.components.datasets.local import ListDataset, ListOptions
from latte.interfaces import Context, LatteError
from tests.helpers.pictures import write_picture

NAMES = ["b.png", "a.png", "sub/c.png", "d.png"]


def dataset(context: Context, **options: object) -> ListDataset:
    settings = {"images": "images.csv", "classes": ("cat", "dog"), **options}
    return ListDataset(ListOptions(**settings), context)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        write_picture(tmp_path / name)
    return tmp_path


def write(folder: Path, text: str, name: str = "images.csv") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def ids(source: ListDataset) -> list[str]:
    return [image.id for image in source.training_images()]


def refusal(context: Context, **options: object) -> str:
    with pytest.raises(LatteError) as caught:
        source = dataset(context, **options)
        source.training_images()
        source.evaluation_images()
        source.audit_labels()
    return str(caught.value)


def test_images_are_listed_by_id_whatever_the_order_of_lines(
    context: Context, folder: Path
) -> None:
    write(folder, "path\n" + "\n".join(NAMES))
    images_in_order = dataset(context).training_images()
    assert [image.id for image in images_in_order] == ["a.png", "b.png", "d.png", "sub/c.png"]
    write(folder, "path\n" + "\n".join(NAMES[::-1]))
    assert dataset(context).training_images() == images_in_order


@pytest.mark.parametrize("labels", ["cat dog cat dog", "dog dog cat cat", "cat cat cat cat"])
def test_labels_change_nothing_but_the_audit(context: Context, folder: Path, labels: str) -> None:
    write(folder, "path\n" + "\n".join(NAMES))
    unlabelled = dataset(context)
    expected = unlabelled.training_images()
    assert unlabelled.audit_labels() == {}
    rows = zip(NAMES, labels.split(), strict=True)
    write(folder, "class,path\n" + "\n".join(f"{label},{name}" for name, label in rows))
    labelled = dataset(context)
    assert labelled.training_images() == expected
    assert labelled.class_names == unlabelled.class_names
    true_labels = {n: ["cat", "dog"].index(c) for n, c in zip(NAMES, labels.split(), strict=True)}
    assert labelled.audit_labels() == true_labels


def test_unlabelled_rows_are_left_out_of_the_audit(context: Context, folder: Path) -> None:
    write(folder, "path,class\na.png,dog\nb.png,\n")
    assert dataset(context).audit_labels() == {"a.png": 1}


def test_jsonl_and_other_columns(context: Context, folder: Path) -> None:
    rows = [{"file": "b.png", "kind": "cat", "x": [1]}, {"file": "a.png", "kind": None}]
    write(folder, "\n".join(json.dumps(row) for row in rows) + "\n\n", "images.jsonl")
    source = dataset(context, images="images.jsonl", path_column="file", class_column="kind")
    assert ids(source) == ["a.png", "b.png"]
    assert source.audit_labels() == {"b.png": 0}


def test_relative_paths_start_at_the_root(context: Context, folder: Path) -> None:
    write(folder, "path\n./c.png\n")
    source = dataset(context, root="sub")
    assert ids(source) == ["c.png"]
    assert source.training_images()[0].path == folder / "sub" / "c.png"


def test_absolute_paths_are_the_users_choice(context: Context, folder: Path) -> None:
    write(folder / "sub", f"path\nc.png\n{folder / 'a.png'}\n")
    source = dataset(context, images="sub/images.csv")
    assert ids(source) == ["../a.png", "c.png"]
    assert all(image.path.is_file() for image in source.training_images())


def test_evaluation_has_its_own_list(context: Context, folder: Path) -> None:
    write(folder, "path\na.png\n")
    write(folder, "path,class\nd.png,DOG\nb.png,cat\n", "test.csv")
    source = dataset(context, evaluation="test.csv")
    labelled = [(image.image.id, image.label) for image in source.evaluation_images()]
    assert labelled == [("b.png", 0), ("d.png", 1)]


def test_labels_may_be_of_own_images(context: Context, folder: Path) -> None:
    write(folder, "image,label\na.png,3\n")
    write(folder, "path\tclass\na.png\tcat\n", "test.tsv")
    source = dataset(context, evaluation="test.tsv")
    assert [labelled.image.id for labelled in source.evaluation_images()] == ["a.png"]
    assert source.audit_labels() == {}, "only the column class_column may hold known classes"
    assert "1 of 1 test images are training images too" in source.warnings()[0]


def test_an_unknown_class_is_answered_with_line_and_nearest(context: Context, folder: Path) -> None:
    write(folder, "path\na.png\n")
    write(folder, "path,class\nb.png,cat\nd.png,dgo\n", "test.csv")
    assert refusal(context, evaluation="test.csv") == (
        f"{folder / 'test.csv'}:3: unknown class 'dgo'\n  Did you mean \"dog\"?"
    )


def test_single_missing_images_are_found_when_read(context: Context, folder: Path) -> None:
    write(folder, "path\na.png\ngone.png\n")
    assert ids(dataset(context)) == ["a.png", "gone.png"]


def test_a_wrong_root_is_found_at_once(context: Context, folder: Path) -> None:
    write(folder, "path\nx/a.png\nx/b.png\n")
    assert "none of the 2 images exists, such as x/a.png" in refusal(context)


@pytest.mark.parametrize("entry", ["../a.png", "sub/../../a.png", "sub/.."])
def test_paths_do_not_go_up(context: Context, folder: Path, entry: str) -> None:
    write(folder, f"path\na.png\n{entry}\n")
    assert refusal(context).startswith(f"{folder / 'images.csv'}:3: {entry!r} goes up with ..")


def test_links_do_not_lead_out(context: Context, folder: Path) -> None:
    (folder / "sub" / "out.png").symlink_to(folder / "a.png")
    (folder / "sub" / "in.png").symlink_to("c.png")
    write(folder, "path\nin.png\nout.png\n")
    assert "images.csv:3: 'out.png' is a link that leads out" in refusal(context, root="sub")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path\n", "names no images"),
        ("", "names no images"),
        ("path\na.png\n./a.png\n", "images.csv:3: a.png is listed twice"),
        ("Paht\na.png\n", "images.csv:1: no column 'path'\n  Did you mean \"Paht\"?"),
        ("path,x\na.png\n", "images.csv:2: 1 values for 2 columns"),
        ("path\na, b.png\n", "images.csv:2: 2 values for 1 columns"),
        ('path\n"a.png\n', "images.csv:2: malformed CSV: unexpected end of data"),
        ('path\na.png\n"b"c.png\n', "images.csv:3: malformed CSV"),
        ("path,path\na.png,b.png\n", "images.csv:1: two columns have the same name"),
        ("path,class\n,cat\n", "images.csv:2: column 'path' is empty"),
        ("path,class\na.png,cot\n", "images.csv:2: unknown class 'cot'\n  Did you mean \"cat\"?"),
        ("path\n\0.png\n", "images.csv:2: has null characters, so it is not UTF-8 text"),
    ],
)
def test_malformed_csv_is_answered_with_its_line(
    context: Context, folder: Path, content: str, message: str
) -> None:
    write(folder, content)
    assert message in refusal(context)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"path": "a.png"}\n{"path": \n', "images.jsonl:2: malformed JSON"),
        ('["a.png"]\n', "images.jsonl:1: each line must be a JSON object"),
        ('{"path": 3}\n', "images.jsonl:1: column 'path' holds 3, which is not a text"),
        ('{"path": "\\ud800.png"}\n', "images.jsonl:1: '\\ud800.png' is not a path"),
        ('{"path": "a.png", "class": 1}\n', "images.jsonl:1: column 'class' holds 1"),
        ("[" * 100_000, "images.jsonl:1: malformed JSON"),
    ],
)
def test_malformed_jsonl_is_answered_with_its_line(
    context: Context, folder: Path, content: str, message: str
) -> None:
    write(folder, content, "images.jsonl")
    assert message in refusal(context, images="images.jsonl")


def test_endless_names_are_no_crash(context: Context, folder: Path) -> None:
    write(folder, f"path\na.png\n{'x' * 5000}.png\n")
    assert len(ids(dataset(context))) == 2


def test_other_files_are_refused(context: Context, folder: Path) -> None:
    write(folder, "a.png", "images.txt")
    assert "is neither CSV nor JSONL" in refusal(context, images="images.txt")


@pytest.mark.parametrize("key", ["images", "evaluation"])
def test_a_missing_list_is_answered_with_the_nearest(
    context: Context, folder: Path, key: str
) -> None:
    write(folder, "path\na.png\n")
    message = refusal(context, **{key: "imges.csv"})
    assert message.startswith(f"dataset.{key}: no such file")
    assert f"Did you mean {folder / 'images.csv'}?" in message


def test_a_column_with_another_name_is_answered_with_the_option(
    context: Context, folder: Path
) -> None:
    write(folder, "file,name\na.png,cat\n", "own.csv")
    assert "as in: path_column: NAME" in refusal(context, images="own.csv")
    lists = {"images": "own.csv", "evaluation": "own.csv"}
    message = refusal(context, **lists, path_column="file")
    assert "no column 'class'" in message and "class_column: NAME" in message
