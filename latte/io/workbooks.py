"""Write a table as an Excel workbook (.xlsx), row by row, with the standard library alone.

An `.xlsx` file is a zip archive of XML parts (ECMA-376, part 1, SpreadsheetML). Excel reads names
and numbers in it the same way in every country; a CSV file it reads by the country's separators.
XlsxWriter 3.3 copies a text from `<r>` to `</r>` unescaped, so that a file name could damage a
workbook; openpyxl refuses control characters, which file names may have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from latte.interfaces import LatteError

MOST_ROWS = 1_048_576
"""Largest number of rows of a sheet in Excel, with the header."""
_LONGEST = 32_767
"""Largest number of characters of a cell in Excel."""
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SHEET = "xl/worksheets/sheet1.xml"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
    f'<Override PartName="/{_SHEET}" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>",
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="labels" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    # The second format marks a cell as text, so that Excel makes no formula of it after an edit.
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}">'
    '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1">'
    '<xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="2">'
    '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1" '
    'applyNumberFormat="1"/></cellXfs><cellStyles count="1">'
    '<cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>",
}
_START = (
    f'<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    "</sheetView></sheetViews><sheetData>"
)
_END = "</sheetData></worksheet>"
_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ufffe\uffff]")
"""Characters that are written as `_xHHHH_`: those that XML cannot hold, and `_` before such."""


def write_workbook(path: Path, rows: Iterable[Sequence[str | float | None]]) -> None:
    """Write `rows` to the new file `path` as a workbook with one sheet; the first row stays on top.

    Texts stay texts, also those that begin with `=`, `+`, `-` or `@`; None is an empty cell. Texts
    are cut to 32,767 characters. Raises `LatteError` for more rows than Excel can read.
    """
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in _PARTS.items():
            archive.writestr(_entry(name), _XML + content)
        with archive.open(_entry(_SHEET), "w", force_zip64=True) as sheet:
            _write_sheet(sheet, rows)


def _entry(name: str) -> ZipInfo:
    """Return an entry whose time is constant, so that equal rows give equal files."""
    entry = ZipInfo(name)
    entry.compress_type = ZIP_DEFLATED
    return entry


def _write_sheet(sheet: IO[bytes], rows: Iterable[Sequence[str | float | None]]) -> None:
    sheet.write((_XML + _START).encode())
    for number, row in enumerate(rows, 1):
        if number > MOST_ROWS:
            what = f"Excel reads at most {MOST_ROWS:,} rows"
            raise LatteError(what, hint="write CSV or JSON lines, or fewer images")
        sheet.write(f"<row>{''.join(map(_cell, row))}</row>".encode())
    sheet.write(_END.encode())


def _cell(value: str | float | None) -> str:
    if value is None:
        return "<c/>"
    if not isinstance(value, str):
        return f"<c><v>{value!r}</v></c>"
    text = escape(_ESCAPED.sub(lambda match: f"_x{ord(match[0]):04X}_", value[:_LONGEST]))
    return f'<c s="1" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
