"""Tables as spreadsheet programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.data.sources.tables import MissingColumnError, iterate_rows
from latte.interfaces import LatteError


def table(folder: Path, content: str | bytes, name: str = "images.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("columns", [("path", "class"), ("image", "label")])
def test_separator_and_column_names_of_spreadsheets(
    tmp_path: Path, separator: str, columns: tuple[str, str]
) -> None:
    lines = [separator.join(columns), separator.join(("1.jpg", '"a, b; c"'))]
    (row,) = iterate_rows(table(tmp_path, "\ufeff" + "\r\n".join(lines)))
    assert (row.text("path"), row.text("class")) == ("1.jpg", "a, b; c")
    assert (row.text("image"), row.text("label")) == ("1.jpg", "a, b; c")


def test_exact_column_name_wins(tmp_path: Path) -> None:
    (row,) = iterate_rows(table(tmp_path, "label,class\n3,cat\n"))
    assert (row.text("class"), row.text("label")) == ("cat", "3")


@pytest.mark.parametrize("header", ["Path,CLASS", "IMAGE, Label", "image,Class"])
def test_case_of_column_names_is_ignored(tmp_path: Path, header: str) -> None:
    (row,) = iterate_rows(table(tmp_path, f"{header}\n1.jpg,cat\n"))
    assert (row.text("path"), row.text("class")) == ("1.jpg", "cat")
    assert (row.text("image"), row.optional_text("label")) == ("1.jpg", "cat")


def test_name_in_the_same_case_wins_and_several_others_are_refused(tmp_path: Path) -> None:
    (row,) = iterate_rows(table(tmp_path, "Path,path\n1.jpg,2.jpg\n"))
    assert row.text("path") == "2.jpg"
    (row,) = iterate_rows(table(tmp_path, "Path,PATH\n1.jpg,2.jpg\n"))
    with pytest.raises(LatteError, match=r":1: several columns could be 'path': Path, PATH"):
        row.text("path")


def test_missing_column_is_reported_at_the_header(tmp_path: Path) -> None:
    (row,) = iterate_rows(table(tmp_path, "file;SKU\n1.jpg;7\n"))
    with pytest.raises(MissingColumnError, match=r":1: no column 'path'") as caught:
        row.text("path")
    assert "The columns are file, SKU." in str(caught.value.hint)


def test_other_encoding_is_refused_with_the_type_to_save_as(tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="is not UTF-8") as caught:
        [*iterate_rows(table(tmp_path, "path\nStühle.jpg\n".encode("cp1252")))]
    assert "CSV UTF-8" in str(caught.value.hint)


def test_series_may_be_a_number_or_missing(tmp_path: Path) -> None:
    file = tmp_path / "images.jsonl"
    values = ('"street 1"', "3", "3.0", "0.5", "null", '""', '"  "', "NaN")
    file.write_text("".join(f'{{"path": "a.jpg", "series": {value}}}\n' for value in values))
    series = ["street 1", "3", "3", "0.5", None, None, None, None]
    assert [row.series for row in iterate_rows(file)] == series
    (tmp_path / "images.csv").write_text("path\na.jpg\n")
    assert [row.series for row in iterate_rows(tmp_path / "images.csv")] == [None]


@pytest.mark.parametrize("value", ["[1]", "true", "{}", "Infinity"])
def test_series_of_another_type_is_reported_with_its_line(tmp_path: Path, value: str) -> None:
    file = tmp_path / "images.jsonl"
    file.write_text(f'{{"path": "a.jpg", "series": {value}}}\n')
    (row,) = iterate_rows(file)
    with pytest.raises(LatteError, match=r"images\.jsonl:1: column 'series' holds"):
        _ = row.series
