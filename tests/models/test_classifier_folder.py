"""Folders with classifiers of plugins: opened by name, and refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.interfaces import LatteError
from latte.models.classifier_folder import is_classifier_folder, open_classifier_folder
from latte.registry import classifiers
from tests.helpers.bright_classifier import Brightness, registry, write_folder


@pytest.fixture(autouse=True)
def bright_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "load_registry", registry)


def test_the_named_function_opens_the_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", "Latte_Bright/bright")
    assert is_classifier_folder(folder)
    assert isinstance(open_classifier_folder(folder, "cpu"), Brightness)


@pytest.mark.parametrize(
    ("opened_by", "message"),
    [
        ("latte-gone/bright", "needs the package latte-gone, which is not installed"),
        ("latte-off/bright", "which is disabled"),
        ("latte-bright/dim", "it has no classifier of this name"),
        ("latte-bright/nothing", "returned no ImageClassifier"),
        ("latte-bright/failing", "failed with RuntimeError: no such layer"),
        ("latte-bright/twins", "a name occurs twice"),
        ("bright", "no DISTRIBUTION/NAME"),
        (3, "no DISTRIBUTION/NAME"),
    ],
)
def test_a_folder_that_cannot_be_opened_gives_the_reason(
    tmp_path: Path, opened_by: object, message: str
) -> None:
    folder = write_folder(tmp_path / "a", opened_by)
    with pytest.raises(LatteError, match=message):
        open_classifier_folder(folder, "cpu")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a")
    (folder / "classifier.json").write_text("{")
    with pytest.raises(LatteError, match=r"classifier\.json"):
        open_classifier_folder(folder, "cpu")
