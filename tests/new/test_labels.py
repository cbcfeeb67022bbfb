"""The labels of `latte adapt` and `latte.adapt`: files, mappings and tables mean the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import latte
from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.new.labels import given_labels
from latte.results.run import open_run

ROWS = [("part-0/000.jpg", "red"), ("part-1/000.jpg", "blue")]
FILE = "path,class\npart-0/000.jpg,red\npart-1/000.jpg,blue\n"


class Table:
    """A table as pandas and polars have it: columns, and a column's values by its name."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns = [*columns]
        self._columns = columns

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]


@pytest.mark.parametrize(
    "labels",
    [
        dict(ROWS),
        ROWS,
        {Path(image): name for image, name in ROWS},
        Table(a=[image for image, _ in ROWS], b=[name for _, name in ROWS]),
        Table(score=[1, 2], label=["red", "blue"], image=[image for image, _ in ROWS]),
        Table(path=[*dict(ROWS), "2.jpg"], kind=["red", "blue", float("nan")]),
    ],
)
def test_mappings_pairs_and_tables_become_a_file(tmp_path: Path, labels: object) -> None:
    with given_labels(labels, tmp_path / "out" / "labels.csv") as file:
        pass
    assert file is not None
    assert file.read_text() == FILE


@pytest.mark.parametrize(
    ("labels", "where", "what"),
    [
        (3, "labels", "int is no table"),
        (["a.jpg"], "labels.0", "no pair"),
        ({"a.jpg": 3}, "labels.0", "is no text"),
        (Table(a=[1], b=[2], c=[3]), "labels", "columns a, b, c"),
    ],
)
def test_other_values_are_refused(tmp_path: Path, labels: object, where: str, what: str) -> None:
    with (
        pytest.raises(LatteError, match=what) as caught,
        given_labels(labels, tmp_path / "labels.csv"),
    ):
        pass
    assert caught.value.where == where
    assert not (tmp_path / "labels.csv").exists()


@pytest.mark.parametrize("earlier", [None, "path,class\na.jpg,cat\n"])
def test_refused_labels_leave_the_file_as_it_was_and_are_named(
    tmp_path: Path, earlier: str | None
) -> None:
    file = tmp_path / "out" / "labels.csv"
    if earlier:
        file.parent.mkdir()
        file.write_text(earlier)
    with (
        pytest.raises(LatteError) as caught,
        given_labels({"a\nb.jpg": "cat", "c.jpg": "dog"}, file) as path,
    ):
        raise LatteError(f"{path}:3 has another label", where=f"{path}:4", hint=f"see {path}")
    assert (
        str(caught.value) == 'labels["c.jpg"]: labels["a\nb.jpg"] has another label\n  see labels'
    )
    assert file.exists() == (earlier is not None)
    assert file.parent.exists() == (earlier is not None)
    assert earlier is None or file.read_text() == earlier


@pytest.fixture
def photos(
    tmp_path: Path, colour_images: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Twelve photos in folders that are no classes, and two examples beside them."""
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    images = colour_images(per_class=4)
    for number, name in enumerate(("red", "green", "blue")):
        (images / name).rename(images / f"part-{number}")
    colour_images(per_class=2, size=(38, 38), folder="examples")
    return images


@pytest.fixture
def command(photos: Path, tiny_clip_folder: Path) -> list[str]:
    model = f"local-dir:{tiny_clip_folder}"
    return ["adapt", str(photos), "--classes", "red,green,blue", "--model", model, "--quiet"]


def test_labels_of_photos_and_of_other_images_teach(
    photos: Path, command: list[str], tiny_clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line([*command, "--labels", "examples", "--verbose"]) == 0
    printed = " ".join("".join(capsys.readouterr()).split())
    assert "labels: 6 images of 3 classes; 6 are not among your images" in printed
    assert "gain: not measured" not in printed
    assert "6 answers taught the model" in printed
    (folder,) = {path.parent for path in Path("adapted").glob("*/results.json")}
    run = open_run(folder)
    assert len(run.rows.training_ids) == len(run.rows.pseudo_labels.adapted) == 12
    assert run.recipe["corrections"] == "../examples"
    # The same call in Python, with labels of two photos.
    model = latte.adapt(
        photos,
        ["red", "green", "blue"],
        labels={photos / "part-0/000.jpg": "blue", "part-1/000.jpg": "red"},
        model=f"local-dir:{tiny_clip_folder}",
    )
    given_labels = dict(zip(["part-0/000.jpg", "part-1/000.jpg"], ["blue", "red"], strict=True))
    predicted = {str(Path(row.image).relative_to(photos)): row for row in model.predict(photos)}
    assert {name: predicted[name].name for name in given_labels} == given_labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {"part-0/000.jpg": "red", "nowhere/1.jpg": "blue"},
            'labels["nowhere/1.jpg"]: there is no image "nowhere/1.jpg"',
        ),
        ({"part-0/000.jpg": "red", "003.jpg": "blue"}, 'labels["003.jpg"]: "003.jpg" is the file'),
        ({"part-0/000.jpg": "reed", "part-1/000.jpg": "blue"}, 'labels["part-0/000.jpg"]: unknown'),
        ({"part-0/000.jpg": "red"}, "labels: the only label is"),
    ],
)
def test_labels_in_python_are_refused_by_their_names_and_leave_no_file(
    photos: Path, tiny_clip_folder: Path, labels: dict[str, str], message: str
) -> None:
    with pytest.raises(LatteError) as caught:
        latte.adapt(
            photos,
            ["red", "green", "blue"],
            labels=labels,
            model=f"local-dir:{tiny_clip_folder}",
            progress=False,
        )
    assert str(caught.value).startswith(message)
    assert not Path("adapted").exists()


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (
            "part-0/0000.jpg,red\npart-1/000.jpg,blue\n",
            'labels.csv:2: there is no image "part-0/0000.jpg"',
        ),
        ("part-0/000.jpg,red\npart-1/000.jpg,bleu\n", "labels.csv:3: unknown class 'bleu'"),
        (
            "part-0/000.jpg,red\npart-0/000.jpg,blue\n",
            "labels.csv:3: labels.csv:2 has another label",
        ),
        ("part-0/000.jpg,red\npart-1/000.jpg,red\n", 'all 2 labels are of the class "red"'),
        ("part-0/000.jpg,red\npart-1/000.j", "labels.csv:3: 1 values for 2 columns"),
        ("", "labels.csv: there is no label"),
        (
            "".join(
                f"part-{part}/{number:03}.jpg,{name}\n"
                for part in range(3)
                for number, name in enumerate(["red", "blue"] * 2)
            ),
            "all 12 images have a label, so nothing is left to label",
        ),
    ],
)
def test_wrong_labels_are_refused_before_anything_is_written(
    command: list[str], rows: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("labels.csv").write_text(f"path,class\n{rows}")
    assert run_command_line([*command, "--labels", "labels.csv"]) == 2
    assert what in " ".join(capsys.readouterr().err.split())
    assert not Path("adapted").exists()
