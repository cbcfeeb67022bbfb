"""The files that stored texts travel in: JSONL, and Parquet where pyarrow is installed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from latte.describe.parts import SCHEMA
from latte.describe.store import StoredText
from latte.files import write_atomically
from latte.interfaces import LatteError

Format = Literal["jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
_ROWS_AT_ONCE = 10_000


def find_format(name: str | None, path: Path) -> Format:
    """The format called `name`, or without a name the one of `path`'s ending, else JSONL."""
    if name is None:
        return "parquet" if path.suffix == ".parquet" else "jsonl"
    for known in FORMATS:
        if known == name:
            return known
    raise LatteError(
        f"there is no format `{name}`", where="--format", hint=f"formats: {', '.join(FORMATS)}"
    )


def write_records(path: Path, format_: Format, records: Iterable[StoredText]) -> None:
    """Write `records` to `path`, whole or not at all. Raises `LatteError`."""
    with _explained(path, "written"), write_atomically(path) as temporary:
        if format_ == "parquet":
            _write_parquet(temporary, records)
        else:
            with temporary.open("wb") as file:
                file.writelines(record.line() for record in records)


def read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Each row of `path` with its place, such as `texts.jsonl:3`; in JSONL or Parquet.

    A row is what JSON makes of it, unchecked, or the `ValueError` of a line that is no JSON. Raises
    `LatteError` for a file that cannot be read.
    """
    with _explained(path, "read"):
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        if is_parquet:
            yield from _read_parquet(path)
        else:
            yield from _read_jsonl(path)


@contextmanager
def _explained(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LatteError(
            f"the file cannot be {done}: {error.strerror or error}", where=str(path)
        ) from error


def _read_jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                row = ValueError(str(error))
            yield f"{path}:{number}", row


def _write_parquet(path: Path, records: Iterable[StoredText]) -> None:
    pyarrow, parquet = _pyarrow()
    text, number = pyarrow.string(), pyarrow.int32()
    types = {
        "schema": number,
        "key": text,
        "text": text,
        "failure": text,
        "describer": text,
        "prompt": text,
        "images": pyarrow.list_(text),
        "layout": text,
        "sample": number,
        "refused": pyarrow.bool_(),
    }
    schema = pyarrow.schema(list(types.items()))
    rest = iter(records)
    with parquet.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(rest, _ROWS_AT_ONCE)):
            rows = [{"schema": SCHEMA, **vars(record)} for record in chunk]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _read_parquet(path: Path) -> Iterator[tuple[str, Any]]:
    pyarrow, parquet = _pyarrow()
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", row
    except pyarrow.ArrowInvalid as error:
        raise LatteError(f"this is not a Parquet file: {error}", where=str(path)) from error


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise LatteError(
            "Parquet needs pyarrow, which is not installed",
            hint="install it: python -m pip install 'latte-clip[parquet]', or take JSONL",
        ) from error
    return pyarrow, parquet
