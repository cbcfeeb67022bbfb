"""`latte predict` with a plugin's classifier: the same rows, files and errors as with a run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from latte.api.runs import ClassifierPredictor, open_model
from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.registry import classifiers
from tests.helpers.bright_classifier import Negative, registry, write_folder


@pytest.fixture(autouse=True)
def bright_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "load_registry", registry)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number, grey in enumerate((10, 250, 200)):
        Image.new("RGB", (12, 9), (grey,) * 3).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def test_predict_writes_rows_of_a_plugins_classifier(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = write_folder(tmp_path / "student"), tmp_path / "rows.csv"
    (photos / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    code = run_command_line(["predict", str(folder), str(photos), "-o", str(output), "-q"])
    rows = list(csv.DictReader(output.open()))
    assert code == 3, "an unreadable image was left out"
    assert [row["class_1"] for row in rows] == ["dark", "bright", "bright"]
    assert [round(float(row["score_1"]), 2) for row in rows] == [0.96, 0.98, 0.78]


def test_use_is_refused_for_a_classifier(tmp_path: Path, photos: Path) -> None:
    folder = write_folder(tmp_path / "student")
    with pytest.raises(LatteError, match="--use is for runs"):
        open_model(folder, "cpu", use="adapted")


def test_a_folder_without_model_is_refused(tmp_path: Path, photos: Path) -> None:
    assert run_command_line(["predict", str(tmp_path), str(photos)]) == 2


def test_unusable_probabilities_name_the_package(photos: Path) -> None:
    with pytest.raises(LatteError, match="a probability is negative"):
        list(ClassifierPredictor(Negative()).predict_iter(photos))


def test_another_classifier_file_gives_another_key(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "student")
    key = open_model(folder, "cpu").key
    (folder / "classifier.json").write_text('{"opened_by": "latte-bright/bright", "epoch": 2}')
    assert open_model(folder, "cpu").key != key
