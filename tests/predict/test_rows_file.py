"""Files of predictions: rows of a stopped call are kept, and the next call goes on from them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from latte.evaluate.predictions import ClassScore, Prediction
from latte.interfaces import LatteError
from latte.predict.rows_file import RowsFile, continued

CAT = (ClassScore("cat", 0.5, 0),)


def stopped(*images: str) -> Iterator[Prediction]:
    for image in images:
        yield Prediction(image, CAT)
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
        file.write(stopped(*map(str, images[:3])))
    assert path.read_text() == "old"
    assert {*path.parent.iterdir()} == {path, file.unfinished}
    assert caught.value.__notes__ == [f"it goes on from the rows so far, in {file.unfinished}"]
    assert len(RowsFile(path, form, key="model 2").written(["cat"])) == 0  # type: ignore[arg-type]

    with file.unfinished.open("a") as torn:
        torn.write('{"image"' if form == "jsonl" else "cut sh")
    time.sleep(0.01)  # the clock of a file system is coarse
    images[1].write_text("new")
    asked: list[Path] = []

    def predict(paths: Iterable[Path]) -> Iterator[Prediction]:
        for path in paths:
            asked.append(path)
            yield Prediction(str(path), (ClassScore("dog", 0.75, 1),))

    os.utime(file.unfinished, ns=(0, images[1].stat().st_mtime_ns))
    rows = list(continued(images, file.written(["cat", "dog"]), predict))
    assert [row.name for row in rows] == ["cat", "dog", "cat", "dog"]
    assert asked == [images[1], images[3]]
    file.write(rows)
    assert path.read_bytes()[:2] in (b"im", b'{"', b"PK")
    assert not file.unfinished.exists()


@pytest.mark.parametrize(
    "row",
    [
        '{"image": "1.jpg", "source": "own", "classes": []}',
        '{"image": "1.jpg", "source": "mine", "classes": [{"class": "cat", "score": 1}]}',
        '{"image": "1.jpg", "source": "own", "classes": [{"class": "cat", "score": "x"}]}',
        '["1.jpg"]',
        "\0",
    ],
)
def test_rows_that_latte_did_not_write_are_not_taken(row: str, tmp_path: Path) -> None:
    file = RowsFile(tmp_path / "labels.jsonl", "jsonl")
    good = '{"image": "0.jpg", "source": "own", "classes": [{"class": "cat", "score": 1}]}'
    file.unfinished.write_text(f"{good}\n{row}\n{good}\n")
    assert len(file.written(["cat"])) == 1


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
