"""Excel workbooks as tables: values as people see them; hostile and damaged files are refused."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from latte.data.sources.workbook import sheet_note, workbook_rows
from latte.interfaces import LatteError
from latte.io.workbooks import write_workbook

openpyxl: Any = pytest.importorskip("openpyxl")

SHEET = "xl/worksheets/sheet1.xml"
START = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
END = b"</sheetData></worksheet>"
HEADER = (
    b'<row r="1"><c t="inlineStr"><is><t>path</t></is></c>'
    b'<c t="inlineStr"><is><t>class</t></is></c></row>'
)


def workbook(path: Path, **sheets: Iterable[Iterable[object]]) -> Path:
    """Write a workbook with these sheets; those whose name starts with `hidden` are hidden."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        sheet.sheet_state = "hidden" if name.startswith("hidden") else "visible"
        for row in rows:
            sheet.append([*row])
    book.save(path)
    return path


def with_sheet(path: Path, chunks: Iterable[bytes]) -> Path:
    """Write a workbook whose sheet has this XML."""
    plain = path.with_suffix(".plain")
    write_workbook(plain, [["path", "class"]])
    with ZipFile(plain) as source, ZipFile(path, "w", ZIP_DEFLATED) as target:
        for name in source.namelist():
            if name != SHEET:
                target.writestr(name, source.read(name))
        with target.open(SHEET, "w", force_zip64=True) as sheet:
            for chunk in chunks:
                sheet.write(chunk)
    return path


def values(path: Path) -> list[tuple[str | None, str | None]]:
    return [(row.optional_text("path"), row.optional_text("class")) for row in workbook_rows(path)]


def test_values_are_texts_as_a_person_sees_them(tmp_path: Path) -> None:
    rows = [
        [],
        [None, "Path", None, "CLASS", None],
        ["x", "1.jpg", "note", "polar bear"],
        ["x", "2.jpg", None, 3],
        [],
        [None, 4, None, 3.0],
        [None, "5.jpg", None, 2.5],
        [None, "6.jpg", None, None],
        [None, "=1+1", None, True],
    ]
    path = workbook(tmp_path / "labels.xlsx", labels=rows)
    assert values(path) == [
        ("1.jpg", "polar bear"),
        ("2.jpg", "3"),
        ("4", "3"),
        ("5.jpg", "2.5"),
        ("6.jpg", None),
        (None, "True"),  # a formula that no program has computed
    ]
    assert [row.where for row in workbook_rows(path)][:2] == [f"{path}:3", f"{path}:4"]
    with pytest.raises(LatteError, match=r":2: no column 'sku'"):
        next(workbook_rows(path)).text("sku")


def test_formula_has_its_computed_value(tmp_path: Path) -> None:
    row = b'<row r="2"><c t="str"><f>A9</f><v>1.jpg</v></c><c><f>1+2</f><v>3</v></c></row>'
    path = with_sheet(tmp_path / "labels.xlsx", [START, HEADER, row, END])
    assert values(path) == [("1.jpg", "3")]


def test_the_first_visible_sheet_is_read_and_named(tmp_path: Path) -> None:
    header, row = ["path", "class"], ["1.jpg", "cat"]
    single = workbook(tmp_path / "one.xlsx", labels=[header, row])
    visible_second = workbook(
        tmp_path / "b.xlsx", hidden=[["x"]], mine=[header, row], third=[["y"]]
    )
    hidden = workbook(tmp_path / "c.xlsx", hidden=[["x"]], mine=[header, row])
    assert values(single) == values(visible_second) == values(hidden) == [("1.jpg", "cat")]
    assert sheet_note(single) is None
    assert sheet_note(visible_second) == f'{visible_second}: the sheet "mine" is read, of 3 sheets'
    (tmp_path / "labels.csv").write_text("path,class\n")
    assert sheet_note(tmp_path / "labels.csv") is None


def test_workbook_that_latte_wrote_is_read(tmp_path: Path) -> None:
    write_workbook(tmp_path / "labels.xlsx", [["image", "label"], ["=1.jpg", "a\nb"], ["2.jpg", 7]])
    assert values(tmp_path / "labels.xlsx") == [("=1.jpg", "a\nb"), ("2.jpg", "7")]


def test_large_workbooks_are_refused_at_once(tmp_path: Path) -> None:
    start = time.monotonic()
    zeros = with_sheet(tmp_path / "zeros.xlsx", (bytes(2**20) for _ in range(300)))
    assert zeros.stat().st_size < 2**20
    refused = {
        zeros: "bytes unpacked, more than the 268,435,456 that are read",
        with_sheet(
            tmp_path / "last.xlsx",
            [START, HEADER, b'<row r="100000000"><c><v>1</v></c></row>', END],
        ): "has more than 1,048,576 rows",
    }
    for path, what in refused.items():
        with pytest.raises(LatteError, match=what) as caught:
            values(path)
        assert caught.value.where == str(path)
    wide = [b'<row><c r="XFD%d"><v>1</v></c></row>' % row for row in range(2, 2000)]
    assert values(with_sheet(tmp_path / "wide.xlsx", [START, HEADER, *wide, END])) == []
    assert time.monotonic() - start < 60


ENTITIES = (
    b'<!DOCTYPE w [<!ENTITY a0 "ha">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12))
    + b"]>"
)


@pytest.mark.parametrize(
    "kind", ["text", "empty", "cut", "no parts", "no sheet", "entities", "xml"]
)
def test_damaged_workbooks_are_refused_with_their_name(kind: str, tmp_path: Path) -> None:
    path = workbook(tmp_path / "labels.xlsx", labels=[["path", "class"], ["1.jpg", "cat"]])
    data = path.read_bytes()
    if kind in ("text", "empty", "cut"):
        path.write_bytes({"text": b"path,class\n", "empty": b"", "cut": data[:-40]}[kind])
    elif kind == "no parts":
        with ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "no workbook")
    elif kind == "no sheet":
        with ZipFile(path) as source, ZipFile(tmp_path / "new", "w") as target:
            for name in source.namelist():
                if name != SHEET:
                    target.writestr(name, source.read(name))
        (tmp_path / "new").replace(path)
    elif kind == "entities":
        cell = b'<row r="2"><c t="inlineStr"><is><t>&a11;</t></is></c></row>'
        with_sheet(path, [ENTITIES, START, HEADER, cell, END])
    else:
        with_sheet(path, [START, HEADER, b"<row><c></row>", END])
    with pytest.raises(LatteError, match=r"is no workbook that can be read|has no sheet") as caught:
        values(path)
    assert caught.value.where == str(path)
    assert "CSV UTF-8" in str(caught.value.hint)


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "labels.xlsx", labels=[["path"], ["1.jpg"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(LatteError, match="reading Excel needs openpyxl") as caught:
        values(path)
    assert str(caught.value.hint).startswith('pip install "latte-clip[xlsx]"')
