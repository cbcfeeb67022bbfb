"""Workbooks that Excel reads: texts stay texts, numbers stay numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest

from latte.interfaces import LatteError
from latte.io import workbooks
from latte.io.workbooks import write_workbook

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def cells(path: Path) -> Iterator[list[tuple[str | None, str]]]:
    """Yield type and content of the cells of each row."""
    sheet = ElementTree.fromstring(ZipFile(path).read("xl/worksheets/sheet1.xml"))
    for row in sheet.iter(f"{MAIN}row"):
        yield [(cell.get("t"), "".join(cell.itertext())) for cell in row]


def test_formulas_and_umlauts_are_texts_and_scores_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "labels.xlsx"
    texts = ["=1+1", "+1", "-1", "@a", "gr\u00fcn.jpg", " <b>&amp;", "<r>&<b></r>", "\U0001f600"]
    write_workbook(path, [["image", "score"], *([text, 0.25] for text in texts), ["a", None]])
    header, *rows, last_row = cells(path)
    assert header == [("inlineStr", "image"), ("inlineStr", "score")]
    assert rows == [[("inlineStr", text), (None, "0.25")] for text in texts]
    assert last_row == [("inlineStr", "a"), (None, "")]
    assert b"<f" not in ZipFile(path).read("xl/worksheets/sheet1.xml")
    rewritten = tmp_path / "again.xlsx"
    write_workbook(rewritten, [["image", "score"], *([text, 0.25] for text in texts), ["a", None]])
    assert rewritten.read_bytes() == path.read_bytes()


def test_characters_that_xml_cannot_hold_are_escaped(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", [["\x07a\r_x0041_", "b" * 40_000]])
    ((escaped, long),) = cells(tmp_path / "a.xlsx")
    assert escaped[1] == "_x0007_a_x000D__x005F_x0041_"
    assert len(long[1]) == 32_767


def test_more_rows_than_excel_reads_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MOST_ROWS", 2)
    with pytest.raises(LatteError, match="Excel reads at most 2 rows"):
        write_workbook(tmp_path / "a.xlsx", [["a"], ["b"], ["c"]])
