"""Export stored texts to a JSONL or Parquet file, and import them on another machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from latte.describe.inventory import Archive
from latte.describe.store import (
    MAX_CHARACTERS,
    SCHEMA,
    DescriptionStore,
    StoredText,
    clean,
    part_name,
)
from latte.interfaces import LatteError, RecipeErrors
from latte.io.files import write_atomically
from latte.io.paths import refuse_other_kind

Format = Literal["jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
MAX_MISTAKES = 20
"""Largest number of reported mistakes; a file that is not an export has one in each line."""
_ROWS_AT_ONCE = 10_000


def find_format(name: str | None, path: Path) -> Format:
    """Return the format `name`. By default, Parquet for the suffix `.parquet`, and else JSONL."""
    if name is None:
        return "parquet" if path.suffix == ".parquet" else "jsonl"
    for known in FORMATS:
        if known == name:
            return known
    raise LatteError(
        f"there is no format `{name}`", where="--format", hint=f"formats: {', '.join(FORMATS)}"
    )


def refuse_other_file(path: Path, format_: Format, *, force: bool) -> None:
    """Raise `LatteError` if `path` exists and is not an export in this format, unless `force`."""
    refuse_other_kind(path, "PAR1" if format_ == "parquet" else '{"schema": ', force=force)


def write_records(path: Path, format_: Format, records: Iterable[StoredText]) -> None:
    """Write `records` to `path`, atomically. Raises `LatteError` if `path` cannot be written."""
    with _explained(path, "written"), write_atomically(path) as temporary:
        if format_ == "parquet":
            _write_parquet(temporary, records)
        else:
            with temporary.open("wb") as file:
                file.writelines(record.line() for record in records)


def read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the location of each row, such as `texts.jsonl:3`, and the unchecked content.

    For a line that is not JSON, a `ValueError` is yielded instead. Raises `LatteError` for a file
    that cannot be read.
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


@dataclass(frozen=True)
class Exported:
    """Numbers of records that an export wrote or left out."""

    texts: int
    refused: int
    left_out: int
    """Number of records whose key does not match their other fields."""


@dataclass(frozen=True)
class Imported:
    """Numbers of records that an import added or dropped."""

    new: int
    """Number of texts and refusals that the store did not have."""
    kept: int
    """Number of records that changed nothing, because the store already had an answer."""
    refused: int
    failed: int
    """Number of records with neither text nor refusal; they are dropped."""


def export_texts(
    archive: Archive, path: Path, format_: Format, wanted: Callable[[StoredText], bool]
) -> Exported:
    """Write to `path`, atomically, the texts and refusals for which `wanted` returns True.

    Raises `LatteError` if `path` cannot be written.
    """
    counts: Counter[str] = Counter()

    def records() -> Iterator[StoredText]:
        for found in archive.texts():
            record = found.record
            if (record.text is None and not record.refused) or not wanted(record):
                continue
            if record.has_own_key:
                counts["refused" if record.refused else "texts"] += 1
                yield record
            else:
                counts["left out"] += 1

    write_records(path, format_, records())
    return Exported(counts["texts"], counts["refused"], counts["left out"])


def import_texts(folder: Path, files: Sequence[Path]) -> Imported:
    """Add the texts and refusals in `files` to the store in `folder`; keep existing texts.

    If a file has invalid records, writes nothing and raises `LatteError` with up to `MAX_MISTAKES`
    mistakes.
    """
    store = DescriptionStore(folder)
    fresh: dict[str, StoredText] = {}
    kept = failed = 0
    for record in _checked(files):
        before = fresh.get(record.key)
        has_text = store.get(record.key) is not None or (before is not None and not before.refused)
        is_refused = store.refusal(record.key) is not None or before is not None
        if record.text is None and not record.refused:
            failed += 1
        elif has_text or (record.refused and is_refused):
            kept += 1
        else:
            fresh[record.key] = record
    if fresh:
        write_records(folder / part_name(), "jsonl", fresh.values())
    refused = sum(record.refused for record in fresh.values())
    return Imported(len(fresh), kept, refused, failed)


class _Row(BaseModel):
    """Pydantic model that validates one record of an exported file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Literal[1] = Field(alias="schema")
    key: str
    text: str | None
    failure: str | None
    refused: bool
    describer: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    images: list[Annotated[str, Field(pattern="^[0-9a-f]{32}$")]]
    layout: Literal["single", "separate", "grid-1"]
    sample: int = Field(ge=0)


def _checked(files: Sequence[Path]) -> list[StoredText]:
    """Return all records of `files`. Raises `RecipeErrors` with the mistakes in all files."""
    records: list[StoredText] = []
    mistakes: list[LatteError] = []
    for where, row in (one for path in files for one in read_rows(path)):
        try:
            records.append(_record(row))
        except ValueError as error:
            mistakes.append(LatteError(str(error), where=where))
            if len(mistakes) == MAX_MISTAKES:
                break
    if mistakes:
        more = "; there may be more" if len(mistakes) == MAX_MISTAKES else ""
        mistakes.append(LatteError(f"nothing was imported{more}"))
        raise RecipeErrors(mistakes)
    return records


def _record(row: Any) -> StoredText:
    if isinstance(row, Exception):
        raise ValueError(f"this is not JSON: {row}")
    try:
        fields = _Row.model_validate(row)
    except ValidationError as error:
        raise ValueError("; ".join(map(_in_words, error.errors()))) from None
    if fields.text is not None:
        if fields.refused:
            raise ValueError("there is a text, and `refused` is true")
        if not fields.text or fields.text != clean(fields.text):
            raise ValueError(
                f"`text` is not one printable line of 1 to {MAX_CHARACTERS} characters"
            )
    given = fields.model_dump(exclude={"version"})
    record = StoredText(**{**given, "images": tuple(fields.images)})
    if not record.has_own_key:
        raise ValueError("`key` does not follow from describer, prompt, images, layout and sample")
    return record


def _in_words(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"`{place}`: {error['msg']}" if place else str(error["msg"])
