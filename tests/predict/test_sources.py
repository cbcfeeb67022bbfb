"""Images in every form, found lazily."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from latte.data.sources import walk
from latte.interfaces import LatteError
from latte.predict.stream import named_images

PICTURE = Image.new("RGB", (4, 4))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("b.jpg", "a/2.PNG", "a/1.jpg", "a/notes.txt", "c/.hidden.jpg", "c/3.webp"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def names(images: Any) -> list[str]:
    return [image.name for image in named_images(images)]


def test_folder_yields_all_images_below_it_in_order(photos: Path) -> None:
    expected = [str(photos / name) for name in ("a/1.jpg", "a/2.PNG", "b.jpg", "c/3.webp")]
    assert names(photos) == names(str(photos)) == expected


def test_files_pillow_images_and_nested_iterables_mix(photos: Path) -> None:
    mixed = [photos / "a" / "notes.txt", PICTURE, (str(photos / "b.jpg"), iter([PICTURE]))]
    assert names(mixed) == [str(mixed[0]), "1", str(photos / "b.jpg"), "3"]
    assert names(PICTURE) == ["0"]


@pytest.mark.parametrize(
    "wrong", [3, None, b"bytes", bytearray(3), io.BytesIO(b"1"), numpy.zeros((4, 4, 3)), [3], ""]
)
def test_value_that_is_no_image_is_an_error(wrong: Any) -> None:
    with pytest.raises(LatteError, match="is no image"):
        names(wrong)


def test_large_folders_are_listed_lazily(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "_SORTED_AT_ONCE", 2)
    for number in range(5):
        (photos / "a" / f"x{number}.jpg").touch()
    file_names = [Path(name).name for name in names(photos)]
    expected = ["1.jpg", "2.PNG", "3.webp", "b.jpg", *(f"x{number}.jpg" for number in range(5))]
    assert sorted(file_names) == expected


def test_unlistable_folders_are_reported(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan: Callable[[Path], Any] = os.scandir

    def refusing(folder: Path) -> Any:
        if Path(folder).name == "a":
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    reported: list[LatteError] = []
    assert [Path(image.name).name for image in named_images(photos, reported.append)] == [
        "b.jpg",
        "3.webp",
    ]
    assert reported[0].where == str(photos / "a")
    with pytest.raises(LatteError, match="Permission denied"):
        names(photos)
