"""Rows of CSV and JSONL files, each with its line number."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from latte.interfaces import LatteError, did_you_mean
from latte.io.paths import read_text, some


class MissingColumnError(LatteError):
    """Error of a row whose file lacks a column; the hint lists the columns that it has.

    Example:
        >>> from latte.api.sources import MissingColumnError
        >>> print(MissingColumnError("no column 'path'", where="images.csv:2"))
        images.csv:2: no column 'path'
    """


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its values by column, and its line number."""

    file: Path
    line: int
    values: Mapping[str, object]

    @property
    def where(self) -> str:
        """`FILE:LINE` of the row, which error messages show."""
        return f"{self.file}:{self.line}"

    def text(self, column: str) -> str:
        """Return the text in `column`.

        Raises `MissingColumnError` if it is absent, `LatteError` if it is empty or not a text.
        """
        if column not in self.values:
            columns = f"The columns are {some(list(self.values))}."
            raise MissingColumnError(
                f"no column {column!r}",
                where=self.where,
                hint=f"{did_you_mean(column, self.values)} {columns}".lstrip(),
            )
        value = self.optional_text(column)
        if value is None:
            raise LatteError(f"column {column!r} is empty", where=self.where)
        return value

    def optional_text(self, column: str) -> str | None:
        """Return the text in `column`, or None if it is absent or empty."""
        value = self.values.get(column)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise LatteError(
                f"column {column!r} holds {value!r}, which is not a text", where=self.where
            )
        return value


def iterate_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file (with a header) or of a JSONL file, one at a time.

    Raises `LatteError` with the line of malformed content.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import iterate_rows
        >>> _ = Path("images.jsonl").write_text('{"path": "1.jpg"}')
        >>> [(row.text("path"), row.where) for row in iterate_rows(Path("images.jsonl"))]
        [('1.jpg', 'images.jsonl:1')]
    """
    readers = {".csv": csv_rows, ".jsonl": _jsonl_rows, ".ndjson": _jsonl_rows}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise LatteError(
            "is neither CSV nor JSONL",
            where=str(file),
            hint="Use a name that ends in .csv or .jsonl.",
        )
    return reader(file)


def csv_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file with a header. Raises `LatteError` at malformed content."""
    # A StringIO would take four bytes for each character.
    lines = io.TextIOWrapper(io.BytesIO(read_text(file).encode()), encoding="utf-8", newline="")
    reader = csv.reader(lines, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            where = f"{file}:{reader.line_num}"
            if not cells:
                continue
            if header is None:
                header = _header(cells, where)
            else:
                yield Row(file, reader.line_num, _csv_values(header, cells, where))
    except csv.Error as error:
        raise LatteError(f"malformed CSV: {error}", where=f"{file}:{reader.line_num}") from error


def _header(cells: list[str], where: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    if len(set(header)) < len(header):
        raise LatteError(f"two columns have the same name: {', '.join(header)}", where=where)
    return header


def _csv_values(header: list[str], cells: list[str], where: str) -> dict[str, str]:
    if len(cells) != len(header):
        raise LatteError(
            f"{len(cells)} values for {len(header)} columns ({', '.join(header)})",
            where=where,
            hint="A value that contains a comma must stand in double quotes.",
        )
    return dict(zip(header, cells, strict=True))


def _jsonl_rows(file: Path) -> Iterator[Row]:
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LatteError(f"malformed JSON: {error}", where=where) from error
        if not isinstance(value, dict):
            raise LatteError('each line must be a JSON object, such as {"path": …}', where=where)
        yield Row(file, number, value)
