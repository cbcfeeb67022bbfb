"""File names that are not UTF-8 are stored as text and found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import LatteError
from latte.io.paths import (
    existing_folder,
    given_path,
    path_as_text,
    path_from_text,
    read_text,
    refuse_read_only,
)


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name and b"\\" not in name))
def test_every_name_is_text_that_gives_the_name(name: bytes) -> None:
    path = os.fsdecode(name)
    text = path_as_text(path)
    assert text.encode()
    assert path_from_text(text) == path


def test_half_of_a_surrogate_pair_is_text_too() -> None:
    assert path_as_text("a\ud800.png") == "a\\ud800.png"


@pytest.mark.parametrize(("content", "line"), [(b"\0" * 100, 1), (b"cat\nd\0o\0g\0", 2)])
def test_a_file_with_null_characters_is_no_text(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "classes.csv"
    path.write_bytes(content)
    with pytest.raises(LatteError, match="null characters") as caught:
        read_text(path)
    assert caught.value.where == f"{path}:{line}"


def test_a_file_whose_name_contains_an_escape_is_found(tmp_path: Path) -> None:
    name = r"a\xff.png"
    assert path_from_text(name, tmp_path) == "a\udcff.png"
    (tmp_path / name).touch()
    assert path_from_text(name, tmp_path) == name


def test_file_in_place_of_a_folder_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, hint in (
        ("1234.jpg", f"its folder is {tmp_path}"),
        ("photos.zip", f"Did you mean {tmp_path / 'photos'}?"),
    ):
        (tmp_path / name).touch()
        with pytest.raises(LatteError, match="this is a file, not a folder") as caught:
            existing_folder(tmp_path / name, "PHOTOS")
        assert caught.value.hint == hint


@pytest.mark.parametrize("value", [None, 3, ["photos"], b"photos", "", "a\0b", "\ud800"])
def test_a_value_that_is_no_path_is_an_error_that_names_the_argument(value: object) -> None:
    with pytest.raises(LatteError, match="path") as caught:
        given_path(value, "images")
    assert caught.value.where == "images"
    assert given_path("photos", "images") == given_path(Path("photos"), "images") == Path("photos")


def test_result_in_a_read_only_folder_or_in_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_read_only(tmp_path / "new" / "deep" / "rows.csv")
    (tmp_path / "file").touch()
    with pytest.raises(LatteError, match=f"because {tmp_path / 'file'} is not a folder"):
        refuse_read_only(tmp_path / "file" / "deep" / "rows.csv")
    # For root, who may run this test, no folder is read-only.
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != tmp_path)
    for path in (tmp_path / "rows.csv", tmp_path / "new" / "rows.csv"):
        with pytest.raises(LatteError, match=f"because {tmp_path} is read-only"):
            refuse_read_only(path)
