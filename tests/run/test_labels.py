"""`latte export` of labels: each format is read by its tool, or checked by its schema."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest
from jsonschema import validate
from pyarrow import parquet
from torchvision.datasets import ImageFolder

from latte.cli.main import run_command_line
from latte.interfaces import ImageReference
from latte.results.given_labels import read_labels
from latte.results.named_images import NamedImages
from latte.results.run import open_run
from tests.helpers.records import recorded

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("fixed_guard")]

TASKS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["data", "predictions"],
        "properties": {
            "data": {
                "type": "object",
                "required": ["image"],
                "properties": {"image": {"type": "string"}},
            },
            "predictions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["result"],
                    "properties": {
                        "model_version": {"type": "string"},
                        "score": {"type": "number", "minimum": 0, "maximum": 1},
                        "result": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["from_name", "to_name", "type", "value"],
                                "properties": {
                                    "type": {"const": "choices"},
                                    "value": {
                                        "type": "object",
                                        "required": ["choices"],
                                        "properties": {
                                            "choices": {
                                                "type": "array",
                                                "items": {"type": "string"},
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
"""Schema of Label Studio's tasks with predictions of choices."""

ExpectedRows = list[tuple[str, str, float]]


def latte(*arguments: str | Path) -> int:
    return run_command_line([str(argument) for argument in arguments])


def export(run: Path, format_: str, output: str | Path, *options: str) -> int:
    return latte("export", run, "--format", format_, "-o", output, *options)


@pytest.fixture
def run(copied_run: Path) -> Path:
    """A run that labels its images red and green, and none blue."""
    path = copied_run / "pseudo_labels.csv"
    text = path.read_text()
    names = {"part-0": "red", "part-1": "green", "part-2": "green"}
    rows = [line.split(",") for line in text.splitlines()]
    for row in rows[1:]:
        row[2] = names[row[0].split("/")[0]]
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    return copied_run


@pytest.fixture
def images(run: Path) -> Path:
    """The folder of the run's images."""
    recipe = recorded(run, "source", "recipe")
    return Path(recipe).parent / "images"


@pytest.fixture
def labels(run: Path) -> ExpectedRows:
    """Image, class and confidence of each training image, from `pseudo_labels.csv`."""
    with (run / "pseudo_labels.csv").open(newline="") as file:
        return [
            (row["image"], row["adapted"], float(row["confidence"])) for row in csv.DictReader(file)
        ]


def test_csv_jsonl_parquet_and_xlsx_have_the_same_rows(
    run: Path, images: Path, labels: ExpectedRows, capsys: pytest.CaptureFixture[str]
) -> None:
    for format_ in ("csv", "jsonl", "parquet", "xlsx"):
        assert export(run, format_, f"labels.{format_}") == 0
        assert capsys.readouterr().out == f"labels of 6 images: labels.{format_}\n"
    with Path("labels.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    series = open_run(run).rows.series
    expected = [(*label, number) for label, number in zip(labels, series, strict=True)]
    assert [(image, label, float(share), int(n)) for image, label, share, n in rows] == expected
    records = [json.loads(line) for line in Path("labels.jsonl").read_text().splitlines()]
    assert [tuple(record.values()) for record in records] == expected
    table = parquet.read_table("labels.parquet").to_pylist()
    assert [tuple(row.values()) for row in table] == expected
    sheet = ElementTree.fromstring(ZipFile("labels.xlsx").read("xl/worksheets/sheet1.xml"))
    texts = ["".join(cell.itertext()) for cell in sheet.iter() if cell.tag.endswith("}c")]
    assert texts[:4] == ["image", "label", "confidence", "series"]
    assert texts[4:] == [str(cell) for label in expected for cell in label]


def annotated(path: Path) -> Path:
    """Make each prediction for Label Studio an annotation, as a person who confirms all does."""
    tasks = [{**task, "annotations": task["predictions"]} for task in json.loads(path.read_text())]
    path.write_text(json.dumps(tasks))
    return path


@pytest.mark.parametrize(
    "format_", ["csv", "jsonl", "parquet", "imagefolder", "label-studio", "fiftyone", "paths"]
)
def test_every_format_is_read_as_answers(
    run: Path, images: Path, labels: ExpectedRows, format_: str
) -> None:
    output = Path(f"labels.{format_}")
    if format_ == "paths":
        rows = [f"{images.absolute() / image},{label}\n" for image, label, _ in labels]
        output.write_text("".join(["path,class\n", *rows]))
    else:
        assert export(run, format_, output) == 0
    if format_ == "label-studio":
        annotated(output)
    opened = open_run(run)
    ids = dict(zip(opened.rows.training_ids, opened.rows.training_keys, strict=True))
    references = [ImageReference(image, images.absolute() / image) for image in ids]
    named_images = NamedImages(ids, lambda: references)
    given_labels = read_labels(output, named_images, opened.class_names)
    expected = {ids[image]: opened.class_names.index(name) for image, name, _ in labels}
    assert {key: label.label for key, label in given_labels.items()} == expected
    assert named_images.examples == {}


def test_imagefolder_is_read_by_torchvision(run: Path, images: Path, labels: ExpectedRows) -> None:
    assert export(run, "imagefolder", "out") == 0
    dataset = ImageFolder("out")
    assert dataset.classes == ["green", "red"]
    counts = Counter(dataset.classes[label] for label in dataset.targets)
    assert counts == Counter(label for _, label, _ in labels)
    contents = {(images / image).read_bytes(): label for image, label, _ in labels}
    assert {
        Path(path).read_bytes(): dataset.classes[label] for path, label in dataset.imgs
    } == contents


def test_imagefolder_lists_label_confidence_and_series_of_every_copy(
    run: Path, images: Path, labels: ExpectedRows
) -> None:
    assert export(run, "imagefolder", "out") == 0
    with Path("out/metadata.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [*rows[0]] == ["file_name", "label", "confidence", "series"]
    copies = [Path("out", row["file_name"]).read_bytes() for row in rows]
    assert copies == [(images / image).read_bytes() for image, _, _ in labels]
    assert [(row["label"], float(row["confidence"])) for row in rows] == [
        (label, share) for _, label, share in labels
    ]
    assert [int(row["series"]) for row in rows] == [*open_run(run).rows.series]


@pytest.mark.skipif(find_spec("datasets") is None, reason="the package datasets is not installed")
def test_imagefolder_is_read_by_datasets(run: Path, labels: ExpectedRows, tmp_path: Path) -> None:
    from datasets import load_dataset

    assert export(run, "imagefolder", "out") == 0
    cache = str(tmp_path / "datasets")
    dataset = load_dataset("imagefolder", data_dir="out", split="train", cache_dir=cache)
    assert Counter(dataset["label"]) == Counter(label for _, label, _ in labels)
    assert sorted(dataset["series"]) == sorted(open_run(run).rows.series)


def test_label_studio_tasks_follow_its_schema_and_interface(
    run: Path, images: Path, labels: ExpectedRows, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(run, "label-studio", "tasks.json") == 0
    tasks = json.loads(Path("tasks.json").read_text())
    validate(tasks, TASKS)
    root = images.parent.resolve()
    assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}\n" in capsys.readouterr().err
    interface = ElementTree.parse("tasks-interface.xml").getroot()
    picture, choices = interface.find("Image"), interface.find("Choices")
    assert picture is not None
    assert choices is not None
    assert picture.attrib["value"] == "$image"
    assert choices.attrib["toName"] == picture.attrib["name"]
    names = [choice.attrib["value"] for choice in choices]
    assert names == ["red", "green", "blue"]
    for task, (image, label, confidence) in zip(tasks, labels, strict=True):
        address = urlsplit(task["data"]["image"])
        assert address.path == "/data/local-files/"
        assert root / parse_qs(address.query)["d"][0] == root / "images" / image
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]
        assert prediction["score"] == confidence
        assert result["value"]["choices"] == [label]
        assert result["from_name"] == choices.attrib["name"]
        assert result["to_name"] == picture.attrib["name"]


def test_fiftyone_labels_name_every_file_in_data(
    run: Path, images: Path, labels: ExpectedRows
) -> None:
    assert export(run, "fiftyone", "out") == 0
    about = json.loads(Path("out/labels.json").read_text())
    assert about["classes"] == ["red", "green", "blue"]
    files = {path.stem: path for path in Path("out/data").iterdir()}
    assert set(about["labels"]) == set(files)
    assert len(files) == len(labels)
    contents = {(images / image).read_bytes(): (label, share) for image, label, share in labels}
    for stem, stored_label in about["labels"].items():
        expected = contents[files[stem].read_bytes()]
        assert (about["classes"][stored_label["label"]], stored_label["confidence"]) == expected


@pytest.mark.parametrize("format_", ["csv", "label-studio"])
def test_file_is_replaced_only_with_force(
    format_: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").write_text("mine")
    assert export(run, format_, "mine") == 2
    assert "--force" in capsys.readouterr().err
    assert Path("mine").read_text() == "mine"
    assert export(run, format_, "mine", "--force") == 0
    assert Path("mine").read_text() != "mine"


@pytest.mark.parametrize("format_", ["csv", "label-studio", "imagefolder", "fiftyone"])
def test_folder_with_files_is_never_replaced(format_: str, run: Path) -> None:
    Path("mine").mkdir()
    Path("mine/file").write_text("mine")
    for options in ((), ("--force",)):
        assert export(run, format_, "mine", *options) == 2
    assert [path.name for path in Path("mine").iterdir()] == ["file"]


@pytest.mark.parametrize("format_", ["csv", "label-studio", "imagefolder"])
def test_output_below_a_file_is_refused(
    format_: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").write_text("mine")
    assert export(run, format_, "mine/labels") == 2
    message = "error: mine/labels: cannot be written, because mine is not a folder"
    assert message in capsys.readouterr().err


def test_images_that_changed_or_are_gone_write_nothing(
    run: Path, images: Path, labels: ExpectedRows, capsys: pytest.CaptureFixture[str]
) -> None:
    image = images / labels[0][0]
    data = image.read_bytes()
    try:
        image.write_bytes(data + b"x")
        assert export(run, "imagefolder", "out") == 2
        assert "has changed since the run" in capsys.readouterr().err
        image.unlink()
        for format_ in ("imagefolder", "fiftyone", "label-studio"):
            assert export(run, format_, "out") == 2
            error_output = capsys.readouterr().err
            assert labels[0][0] in error_output
            assert "1 images of this run are not in its dataset any more" in error_output
    finally:
        image.write_bytes(data)
    assert not list(Path().glob("*out*"))


def test_parquet_without_pyarrow_names_the_extra(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def installed(name: str) -> str:
        if name == "pyarrow":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("latte.export.folder.version", installed)
    assert export(run, "parquet", "labels.parquet") == 2
    assert "pip install 'latte-clip[parquet]'" in capsys.readouterr().err
    assert not Path("labels.parquet").exists()


def test_labels_of_a_folder_that_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert latte("export", ".", "--format", "csv", "-o", "labels.csv") == 2
    assert "this is not a run folder" in capsys.readouterr().err


def test_exports_do_not_import_model_libraries(run: Path, guard_plugin: Path) -> None:
    program = (
        "import sys; from latte.cli.main import run_command_line\n"
        "codes = [run_command_line(['export', sys.argv[1], '--format', one, '-o', one])"
        " for one in ('csv', 'jsonl', 'label-studio', 'imagefolder')]\n"
        "assert codes == [0] * 4, codes\n"
        "sys.exit(bool({'open_clip', 'transformers'} & {*sys.modules}))"
    )
    command = [sys.executable, "-c", program, str(run)]
    path = [str(guard_plugin), *sys.path]
    environment = {"PYTHONPATH": ":".join(path), "LATTE_CACHE": str(run / "cache")}
    assert subprocess.run(command, check=False, env=environment).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("csv",), "--output: names no place for the labels"),
        (("csv", "-o", "labels.csv", "--use", "adapted"), "--use: is for formats of models"),
        (("onnx", "--force"), "--force: is for formats of labels"),
    ],
)
def test_options_of_other_formats_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert latte("export", run, "--format", *arguments) == 2
    assert message in capsys.readouterr().err
