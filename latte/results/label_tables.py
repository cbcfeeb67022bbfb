"""Read the classes that a person gave to images from tables: CSV, JSON lines, Parquet, Excel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from latte.data.formats import IMAGE_SUFFIXES
from latte.data.sources.class_lookup import ClassLookup
from latte.data.sources.tables import (
    MissingColumnError,
    TableRow,
    csv_rows,
    iterate_rows,
    separator,
)
from latte.data.sources.workbook import OTHER_SPREADSHEETS, SUFFIXES, workbook_rows
from latte.interfaces import LatteError
from latte.io.paths import read_text
from latte.results.stored import explained

UNREADABLE = "give a table with the columns image and label, or an export as JSON"


def table_rows(path: Path) -> Iterator[TableRow] | None:
    """Return the rows of a table; None for JSON, such as an export of another tool.

    A file whose suffix names no format is CSV. Raises `LatteError` for a spreadsheet in a format
    that is not read.
    """
    suffix = path.suffix.lower()
    if suffix in OTHER_SPREADSHEETS:
        hint = "save the table as .xlsx, or as “CSV UTF-8”"
        raise LatteError(f"spreadsheets as {suffix} are not read", where=str(path), hint=hint)
    if reader := _READERS.get(suffix):
        return reader(path)
    return None if read_text(path).lstrip()[:1] in ("[", "{") else csv_rows(path)


def image_labels(
    rows: Iterator[TableRow], class_names: Sequence[str]
) -> Iterator[tuple[TableRow, str, str]]:
    """Yield each row that has a label, with the name of its image, and its label.

    Raises `LatteError` for a missing column; if the table seems to have no header, the error says
    which line to add.
    """
    for row in rows:
        try:
            row.require("image")
            row.require("label")
        except MissingColumnError as error:
            _refuse_missing_header(row, class_names)
            error.hint = f"{error.hint} Or {UNREADABLE}."
            raise
        if label := (row.optional_text("label") or "").strip():
            yield row, row.text("image"), label


def _refuse_missing_header(row: TableRow, class_names: Sequence[str]) -> None:
    cells = [*row.values]
    header = _header_for(cells, class_names)
    if row.header_line is None or header is None:
        return
    what = f"the table has no header: its first line is {', '.join(cells)}"
    is_text = row.file.suffix.lower() not in SUFFIXES
    line = separator(row.file, read_text(row.file)).join(header) if is_text else " | ".join(header)
    hint = f"add this line above it: {line}"
    raise LatteError(what, where=f"{row.file}:{row.header_line}", hint=hint)


def _header_for(cells: Sequence[str], class_names: Sequence[str]) -> list[str] | None:
    """Return names for the columns of a row with an image and a class; None for another row."""
    is_image = [PurePosixPath(cell).suffix.lower() in IMAGE_SUFFIXES for cell in cells]
    is_class = [_is_class(cell, class_names) for cell in cells]
    if sum(is_image) == 1 and len(cells) == 2:
        is_class = [not is_name for is_name in is_image]
    if sum(is_image) != 1 or not any(is_class):
        return None
    names = [f"column_{number}" for number in range(1, len(cells) + 1)]
    names[is_class.index(True)], names[is_image.index(True)] = "class", "path"
    return names


def _is_class(cell: str, class_names: Sequence[str]) -> bool:
    try:
        ClassLookup(class_names).label(cell.strip(), "")
    except LatteError:
        return False
    return True


def _parquet_rows(path: Path) -> Iterator[TableRow]:
    try:
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        hint = "pip install pyarrow; or give a CSV"
        raise LatteError("reading Parquet needs pyarrow", where=str(path), hint=hint) from error
    with explained(path, UNREADABLE):
        rows = parquet.read_table(path).to_pylist()
    for number, values in enumerate(rows, 1):
        yield TableRow(path, number, values)


_READERS: Mapping[str, Callable[[Path], Iterator[TableRow]]] = {
    ".parquet": _parquet_rows,
    ".jsonl": iterate_rows,
    ".ndjson": iterate_rows,
    ".tsv": csv_rows,
    **dict.fromkeys(SUFFIXES, workbook_rows),
}
