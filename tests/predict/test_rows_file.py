"""Files of predictions: rows of a stopped call are kept, and the next call goes on from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from latte.evaluate.predictions import ClassScore, Prediction
from latte.interfaces import LatteError
from latte.io.files import digest
from latte.predict.rows_file import RowsFile, continued

CAT = (ClassScore("cat", 0.5, 0),)


def row_of(image: Path, classes: tuple[ClassScore, ...] = CAT) -> Prediction:
    return Prediction(str(image), classes, key=digest(image.read_bytes()))


def stopped(*rows: Prediction) -> Iterator[Prediction]:
    yield from rows
    raise KeyboardInterrupt


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
def test_rows_of_a_stopped_call_are_kept_and_taken_in_order(form: str, tmp_path: Path) -> None:
    images = [tmp_path / f"{number},\n.jpg" for number in range(4)]
    for image in images:
        image.touch()
    path = tmp_path / "out" / f"labels.{form}"
    path.parent.mkdir()
    path.write_text("old")
    file = RowsFile(path, form, key="model 1")  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt) as caught:
        file.write(stopped(*map(row_of, images[:3])))
    assert path.read_text() == "old"
    assert {*path.parent.iterdir()} == {path, file.unfinished}
    assert caught.value.__notes__ == [f"it goes on from the rows so far, in {file.unfinished}"]
    assert len(RowsFile(path, form, key="model 2").written(["cat"])) == 0  # type: ignore[arg-type]

    with file.unfinished.open("a") as torn:
        torn.write('{"image"')
    images[1].write_text("new")
    sought: list[Path] = []

    def predict(paths: Iterable[Path]) -> Iterator[Prediction]:
        for path in paths:
            sought.append(path)
            yield row_of(path, (ClassScore("dog", 0.75, 1),))

    written = file.written(["cat", "dog"])
    rows = list(continued(images, written, predict))
    assert [row.name for row in rows] == ["cat", "dog", "cat", "dog"]
    assert sought == [images[1], images[3]]
    assert written.changed == 1
    file.write(rows)
    assert path.read_bytes()[:2] == {"csv": b"im", "jsonl": b'{"', "xlsx": b"PK"}[form]
    assert not file.unfinished.exists()


@pytest.mark.parametrize(
    "row",
    [
        '{"image": "1.jpg", "source": "own", "key": "a", "classes": []}',
        '{"image": "1.jpg", "source": "mine", "key": "a", '
        '"classes": [{"class": "cat", "score": 1}]}',
        '{"image": "1.jpg", "source": "own", "key": "a", '
        '"classes": [{"class": "cat", "score": "x"}]}',
        '{"image": "1.jpg", "source": "own", "key": 1, "classes": [{"class": "cat", "score": 1}]}',
        '{"image": "1.jpg", "source": "own", "classes": [{"class": "cat", "score": 1}]}',
        '["1.jpg"]',
        "\0",
    ],
)
def test_rows_that_latte_did_not_write_are_not_taken(row: str, tmp_path: Path) -> None:
    file = RowsFile(tmp_path / "labels.jsonl", "jsonl")
    with pytest.raises(KeyboardInterrupt):
        file.write(stopped(Prediction("0.jpg", CAT, key="a")))
    good = file.unfinished.read_text()
    file.unfinished.write_text(f"{good}{row}\n{good}")
    assert len(file.written(["cat"])) == 1


@pytest.mark.parametrize(
    "rows",
    [
        "image,source,class_1,score_1\n0.jpg,classifier,cat,0.5\n",
        '{"image": "0.jpg", "source": "own", "classes": [{"class": "cat", "score": 1}]}\n',
    ],
)
def test_rows_that_do_not_name_the_content_of_their_images_are_removed(
    rows: str, tmp_path: Path
) -> None:
    file = RowsFile(tmp_path / "labels.csv", "csv")
    file.unfinished.write_text(rows)
    written = file.written(["cat"])
    assert (len(written), written.are_unknown) == (0, True)
    assert not file.unfinished.exists()


def test_rows_of_whole_batches_are_taken(tmp_path: Path) -> None:
    images = [tmp_path / f"{number}.jpg" for number in range(5)]
    for image in images:
        image.touch()
    file = RowsFile(tmp_path / "labels.csv", "csv")
    with pytest.raises(KeyboardInterrupt):
        file.write(stopped(*map(row_of, images)))
    for batch_size, rows in ((1, 5), (2, 4), (5, 5), (6, 0)):
        written = file.written(["cat"], batch_size)
        assert len(written) == rows
        assert [*map(written.take, images)].count(None) == 5 - rows
        assert not written.are_unknown


def test_row_of_an_image_that_has_become_unreadable_is_not_taken(tmp_path: Path) -> None:
    image = tmp_path / "0.jpg"
    image.touch()
    file = RowsFile(tmp_path / "labels.csv", "csv")
    with pytest.raises(KeyboardInterrupt):
        file.write(stopped(row_of(image)))
    image.unlink()
    assert [*continued([image], file.written(["cat"]), lambda images: iter(()))] == []


def test_partial_file_is_not_named_without_a_row(tmp_path: Path) -> None:
    file = RowsFile(tmp_path / "labels.csv", "csv")
    file.unfinished.write_text("rows of an earlier command")
    with pytest.raises(KeyboardInterrupt) as caught:
        file.write(stopped())
    assert not hasattr(caught.value, "__notes__")


def test_rows_stay_in_partial_file_if_a_folder_takes_its_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"

    def rows() -> Iterator[Prediction]:
        path.mkdir()
        yield Prediction("1.jpg", (ClassScore("cat", 0.5, 0),))

    with pytest.raises(LatteError, match="cannot be written: Is a directory") as caught:
        RowsFile(path, "csv").write(rows())
    assert caught.value.hint == f"the rows so far are in {path}.partial"
    assert "1.jpg" in (tmp_path / "labels.csv.partial").read_text()
