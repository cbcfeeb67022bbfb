"""Rows of CSV and JSONL files, each with its line number."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from latte.interfaces import LatteError, did_you_mean
from latte.io.json_text import parse_json
from latte.io.paths import read_text, some


class MissingColumnError(LatteError):
    """Error for a row that lacks a required column; the hint lists the columns that it has.

    Example:
        >>> from latte.api.sources import MissingColumnError
        >>> print(MissingColumnError("no column 'path'", where="images.csv:2"))
        images.csv:2: no column 'path'
    """


_LONGEST_HEADER = 100_000
"""Number of characters in which the header is sought."""
_SYNONYMS = {"path": "image", "image": "path", "class": "label", "label": "class"}
"""Other name of a column, which is read if a file lacks the first; latte writes both.

Names in another case, such as `Path`, are read if a file has neither.
"""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a file: its values by column, and its line number."""

    file: Path
    line: int
    values: Mapping[str, object]
    header_line: int | None = None
    """Line with the names of the columns; None if each row has its own."""

    @property
    def where(self) -> str:
        """`FILE:LINE` of the row, which error messages show."""
        return f"{self.file}:{self.line}"

    def require(self, column: str) -> None:
        """Raise `MissingColumnError` if the file has neither `column` nor its synonym."""
        if self._name(column) is None:
            columns = f"The columns are {some(list(self.values))}."
            raise MissingColumnError(
                f"no column {column!r}",
                where=f"{self.file}:{self.header_line or self.line}",
                hint=f"{did_you_mean(column, self.values)} {columns}".lstrip(),
            )

    def text(self, column: str) -> str:
        """Return the text in `column`, or in its synonym, such as `image` for `path`.

        Raises `MissingColumnError` if both columns are absent, `LatteError` if the cell is empty or
        not a text.
        """
        self.require(column)
        value = self.optional_text(column)
        if value is None:
            raise LatteError(f"column {column!r} is empty", where=self.where)
        return value

    @property
    def series(self) -> str | None:
        """The series of the image, in the column `series`; None if it is absent or empty.

        In JSONL and Parquet files, it may be a number, and NaN is empty.
        """
        value = self.values.get("series")
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, float) and not math.isinf(value):
            return None if math.isnan(value) else f"{value:.17g}"
        name = (self.optional_text("series") or "").strip()
        return name or None

    def optional_text(self, column: str) -> str | None:
        """Return the text in `column`, or None if it is absent or empty."""
        name = self._name(column)
        value = None if name is None else self.values[name]
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise LatteError(
                f"column {column!r} holds {value!r}, which is not a text", where=self.where
            )
        return value

    def _name(self, column: str) -> str | None:
        """Return the file's name of `column`; None if the file has no such column."""
        names = (column, _SYNONYMS.get(column, column))
        if exact := next((name for name in names if name in self.values), None):
            return exact
        folded = [name.casefold() for name in names]
        similar = [name for name in self.values if name.strip().casefold() in folded]
        if len(similar) > 1:
            raise LatteError(
                f"several columns could be {column!r}: {some(similar)}",
                where=f"{self.file}:{self.header_line or self.line}",
                hint=f"Call one of them {column}.",
            )
        return similar[0] if similar else None


def iterate_rows(file: Path) -> Iterator[TableRow]:
    """Yield the rows of a CSV file (with a header) or of a JSONL file, one at a time.

    Raises `LatteError` with the line of malformed content.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import iterate_rows
        >>> _ = Path("images.jsonl").write_text('{"path": "1.jpg"}')
        >>> [(row.text("path"), row.where) for row in iterate_rows(Path("images.jsonl"))]
        [('1.jpg', 'images.jsonl:1')]
    """
    readers = {".csv": csv_rows, ".tsv": csv_rows, ".jsonl": _jsonl_rows, ".ndjson": _jsonl_rows}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise LatteError(
            "is neither CSV nor JSONL",
            where=str(file),
            hint="Use a name that ends in .csv or .jsonl.",
        )
    return reader(file)


def csv_rows(file: Path) -> Iterator[TableRow]:
    """Yield the rows of a CSV file with a header. Raises `LatteError` at malformed content."""
    header: list[str] = []
    header_line = 0
    for line, cells in csv_cells(file):
        where = f"{file}:{line}"
        if not header:
            header, header_line = table_header(cells, where), line
        else:
            yield TableRow(file, line, _csv_values(header, cells, where), header_line)


def csv_cells(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row of a CSV file, without empty rows.

    The separator is the comma if the first row has one, else the semicolon, else the tab. In a
    `.tsv` file, it is the tab if the first row has one. Raises `LatteError` at malformed content.
    """
    text = read_text(file)
    # A StringIO would take four bytes for each character.
    lines = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", newline="")
    reader = csv.reader(lines, strict=True, delimiter=separator(file, text))
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise LatteError(f"malformed CSV: {error}", where=f"{file}:{reader.line_num}") from error


def separator(file: Path, text: str) -> str:
    """Return the separator of the cells in the `text` of a CSV file; see `csv_cells`."""
    separators = "\t,;" if file.suffix.lower() == ".tsv" else ",;\t"
    first_line = next((line for line in io.StringIO(text[:_LONGEST_HEADER]) if line.strip()), "")
    return next((mark for mark in separators if mark in first_line), ",")


def table_header(cells: list[str], where: str) -> list[str]:
    """Return the names of the columns. Raises `LatteError` if two have the same name."""
    header = [cell.strip() for cell in cells]
    names = [name for name in header if name]
    if len(set(names)) < len(names):
        raise LatteError(f"two columns have the same name: {', '.join(header)}", where=where)
    return header


def _csv_values(header: list[str], cells: list[str], where: str) -> dict[str, str]:
    if len(cells) != len(header):
        raise LatteError(
            f"{len(cells)} values for {len(header)} columns ({', '.join(header)})",
            where=where,
            hint="A value that contains the separator must stand in double quotes.",
        )
    return dict(zip(header, cells, strict=True))


def _jsonl_rows(file: Path) -> Iterator[TableRow]:
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            value = parse_json(line)
        except ValueError as error:
            raise LatteError(f"malformed JSON: {error}", where=where) from error
        if not isinstance(value, dict):
            raise LatteError('each line must be a JSON object, such as {"path": …}', where=where)
        yield TableRow(file, number, value)
