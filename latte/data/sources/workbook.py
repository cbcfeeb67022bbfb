"""Rows of untrusted Excel workbooks (.xlsx), which openpyxl reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from latte.data.sources.tables import TableRow, table_header
from latte.interfaces import LatteError
from latte.interfaces.errors import error_line
from latte.io.paths import is_file
from latte.io.workbooks import MOST_ROWS

SUFFIXES = (".xlsx", ".xlsm")
OTHER_SPREADSHEETS = (".xls", ".xlsb", ".ods", ".numbers")
"""Suffixes of spreadsheets that are not read."""

_MOST_BYTES = 2**28
"""Largest size of an unpacked workbook; a full sheet with two columns has about half of it."""
_MOST_COLUMNS = 100
_AS_CSV = "save the sheet as .xlsx again, or as “CSV UTF-8”"


def workbook_rows(file: Path) -> Iterator[TableRow]:
    """Yield the rows of the first visible sheet of a workbook; its first row is the header.

    A formula has the value that the spreadsheet program computed. Numbers become texts, as the
    program shows them without a format: `3`, not `3.0`. Empty rows, columns without a header, and
    columns after the 100th are left out.

    Raises `LatteError` for a damaged file, for more rows than Excel can write, and for a file that
    would take more than 256 MiB unpacked.
    """
    header: list[str] = []
    header_line = 0
    for line, cells in _cells(file):
        if not header:
            header, header_line = table_header(cells, f"{file}:{line}"), line
            continue
        values = {name: cell for name, cell in zip(header, cells, strict=False) if name}
        yield TableRow(file, line, values, header_line)


def sheet_note(file: Path) -> str | None:
    """Return a sentence that names the sheet that is read.

    Returns None for a workbook with one sheet, and for a file that is no workbook.
    """
    if file.suffix.lower() not in SUFFIXES or not is_file(file):
        return None
    with closing(_opened(file)) as workbook:
        sheets = workbook.worksheets
        if len(sheets) < 2:
            return None
        return f'{file}: the sheet "{_read_sheet(sheets).title}" is read, of {len(sheets)} sheets'


def _read_sheet(sheets: Sequence[Any]) -> Any:
    return next((sheet for sheet in sheets if sheet.sheet_state == "visible"), sheets[0])


def _cells(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and texts of each row that is not empty."""
    with closing(_opened(file)) as workbook:
        rows = _values(_read_sheet(workbook.worksheets), file)
        for line, values in enumerate(rows, 1):
            if line > MOST_ROWS:
                hint = "remove the empty rows at its end, or save it as CSV"
                raise LatteError(f"has more than {MOST_ROWS:,} rows", where=str(file), hint=hint)
            if values.count(None) < len(values):
                yield line, [_text(value) for value in values]


def _values(sheet: Any, file: Path) -> Iterator[tuple[object, ...]]:
    sheet.reset_dimensions()  # the file may state wrong ones
    try:
        yield from sheet.iter_rows(max_col=_MOST_COLUMNS, values_only=True)
    except Exception as error:  # openpyxl raises any exception for a damaged file
        raise _damaged(file, error) from error


def _opened(file: Path) -> Any:
    try:
        openpyxl: Any = import_module("openpyxl")
    except ImportError as error:
        hint = 'pip install "latte-clip[xlsx]"; or save the table as “CSV UTF-8”'
        raise LatteError("reading Excel needs openpyxl", where=str(file), hint=hint) from error
    _refuse_large(file)
    try:
        workbook = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except Exception as error:
        raise _damaged(file, error) from error
    if not workbook.worksheets:
        raise LatteError("has no sheet with cells", where=str(file), hint=_AS_CSV)
    return workbook


def _refuse_large(file: Path) -> None:
    """Raise `LatteError` if the parts of a workbook are too large to be read into memory."""
    try:
        with ZipFile(file) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except (OSError, BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged(file, error) from error
    if size > _MOST_BYTES:
        what = f"takes {size:,} bytes unpacked, more than the {_MOST_BYTES:,} that are read"
        raise LatteError(what, where=str(file), hint="save the table as “CSV UTF-8”")


def _damaged(file: Path, error: Exception) -> LatteError:
    what = f"is no workbook that can be read: {error_line(error, with_type=False)}"
    return LatteError(what, where=str(file), hint=_AS_CSV)


def _text(value: object) -> str:
    if value is None:
        return ""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value)  # type: ignore[call-overload]
