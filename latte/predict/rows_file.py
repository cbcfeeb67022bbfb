"""File of predictions: rows are written as they come, and a stopped call can be continued."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, TextIO, TypeAlias, cast, get_args

from latte.evaluate.predictions import (
    NO_LABEL,
    NONE_OF_THEM,
    PLAIN,
    ClassScore,
    Columns,
    Prediction,
    PredictionFormat,
    Source,
    stream_predictions,
    table_rows,
)
from latte.interfaces import LatteError
from latte.io.files import partial_file, rescue_leftover, write_atomically
from latte.io.paths import is_file, path_as_text
from latte.io.workbooks import write_workbook

RowsFormat: TypeAlias = Literal["csv", "jsonl", "xlsx"]


@dataclass(frozen=True)
class RowsFile:
    """File of predictions, and the file beside it that keeps the rows of a stopped call.

    `key` names everything that determines a row beside the image, such as the model: only a call
    with the same key goes on from these rows.
    """

    path: Path
    format: RowsFormat
    columns: Columns = PLAIN
    key: str | None = None

    @property
    def unfinished(self) -> Path:
        """The file with the rows of a stopped call, such as `labels.csv.1a2b3c4d.partial`."""
        return partial_file(self.path, self.key)

    @property
    def _row_format(self) -> PredictionFormat:
        """Format of the unfinished file; the rows of a workbook are in it as CSV."""
        return "csv" if self.format == "xlsx" else self.format

    def written(self, class_names: Sequence[str]) -> WrittenRows:
        """Return the rows that a stopped call wrote."""
        rescue_leftover(self.unfinished)
        return WrittenRows(self.unfinished, self._row_format, class_names)

    def write(self, rows: Iterable[Prediction]) -> None:
        """Write each row immediately to a temporary file, which replaces `path` at the end.

        If writing stops early, the temporary file is kept as `unfinished`, and `path` stays the
        same. The exception of Ctrl-C or a signal gets a note that names `unfinished`.
        """
        has_started = False

        def watched() -> Iterator[Prediction]:
            nonlocal has_started
            for row in rows:
                has_started = True
                yield row

        try:
            self._write(watched())
            self.unfinished.unlink(missing_ok=True)  # left by an earlier call
        except KeyboardInterrupt as stopped:
            if has_started and is_file(self.unfinished):
                stopped.add_note(f"it goes on from the rows so far, in {self.unfinished}")
            raise
        except OSError as error:
            has_rows = has_started and is_file(self.unfinished)
            hint = f"the rows so far are in {self.unfinished}" if has_rows else None
            what = f"cannot be written: {error.strerror}"
            raise LatteError(what, where=str(self.path), hint=hint) from error

    def _write(self, rows: Iterator[Prediction]) -> None:
        is_workbook = self.format == "xlsx"
        path = self.unfinished if is_workbook else self.path
        with (
            write_atomically(path, unfinished=self.unfinished) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            stream_predictions(file, rows, self._row_format, self.columns)
        if is_workbook:
            with write_atomically(self.path) as temporary:
                whole = _read_rows(self.unfinished, "csv", {})
                write_workbook(temporary, table_rows(whole, self.columns))


class WrittenRows:
    """Rows that a stopped call wrote, to be taken in the order of its images."""

    def __init__(self, path: Path, format: PredictionFormat, class_names: Sequence[str]) -> None:
        labels = {NONE_OF_THEM: NO_LABEL, **{name: i for i, name in enumerate(class_names)}}
        self._rows: Iterator[Prediction] = iter(())
        self._images: set[str] = set()
        self._time = 0.0
        if is_file(path):
            self._images = {row.image for row in _read_rows(path, format, labels)}
            self._rows = _read_rows(path, format, labels)
            self._time = path.stat().st_mtime
        self._next = next(self._rows, None)

    def __len__(self) -> int:
        """Return the number of images with a row."""
        return len(self._images)

    @property
    def is_used_up(self) -> bool:
        """True if no row can be taken any more."""
        return self._next is None

    def take(self, image: Path) -> Prediction | None:
        """Return the row of an image; None if it has none, or has changed since.

        After an image whose row is not the next one, no row is returned any more.
        """
        name = path_as_text(str(image))
        row = self._next
        if row is None or name not in self._images:
            return None
        self._next = next(self._rows, None) if row.image == name else None
        return row if row.image == name and self._is_older(image) else None

    def _is_older(self, image: Path) -> bool:
        try:
            status = image.stat()
        except OSError:
            return False
        return max(status.st_mtime, status.st_ctime) < self._time


def continued(
    images: Iterable[Path],
    written: WrittenRows,
    predict: Callable[[Iterable[Path]], Iterator[Prediction]],
) -> Iterator[Prediction]:
    """Yield the written row of each image that has one; `predict` yields the rows of all others."""
    remaining = iter(images)
    for image in remaining:
        if (row := written.take(image)) is not None:
            yield row
        elif written.is_used_up:
            yield from predict(chain([image], remaining))
        else:
            yield from predict([image])


def _read_rows(
    path: Path, format: PredictionFormat, labels: Mapping[str, int]
) -> Iterator[Prediction]:
    """Yield the rows of a file of predictions up to its end, or to a row that is cut short.

    `labels` are the indices of the class names; a name that is not among them gets `NO_LABEL`.
    """
    with path.open(encoding="utf-8", newline="") as file:
        read = _from_csv if format == "csv" else _from_json_lines
        try:
            yield from read(file, labels)
        except (ValueError, KeyError, TypeError, csv.Error):
            return


def _from_csv(file: TextIO, labels: Mapping[str, int]) -> Iterator[Prediction]:
    rows = csv.reader(_whole_lines(file), strict=True)
    header = next(rows, [])
    ranks = range(1, 1 + sum(name.startswith("class_") for name in header))
    for cells in rows:
        row = dict(zip(header, cells, strict=True))
        scores = [(row[f"class_{rank}"], row[f"score_{rank}"]) for rank in ranks]
        classes = [(name, float(score)) for name, score in scores if score]
        match = float(row["match"]) if row.get("match") else None
        yield _prediction(row["image"], row["source"], match, classes, labels)


def _from_json_lines(file: TextIO, labels: Mapping[str, int]) -> Iterator[Prediction]:
    for row in map(json.loads, _whole_lines(file)):
        classes = [(scored["class"], float(scored["score"])) for scored in row["classes"]]
        yield _prediction(row["image"], row["source"], row.get("match"), classes, labels)


def _prediction(
    image: str,
    source: str,
    match: float | None,
    classes: Iterable[tuple[str, float]],
    labels: Mapping[str, int],
) -> Prediction:
    scores = tuple(ClassScore(name, score, labels.get(name, NO_LABEL)) for name, score in classes)
    if not scores or source not in get_args(Source):
        raise ValueError("no row that latte wrote")
    return Prediction(image, scores, cast("Source", source), match=match)


def _whole_lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file; a last line without a line feed was not written to its end."""
    for line in file:
        if not line.endswith("\n"):
            return
        yield line
