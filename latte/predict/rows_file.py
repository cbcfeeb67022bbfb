"""File of predictions: rows are kept as they come, and a stopped call can be continued."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Literal, TextIO, TypeAlias, cast, get_args

from latte.data.images import UnreadableImageError, read_image
from latte.data.prefetch import image_threads, ordered_map
from latte.evaluate.predictions import (
    NO_LABEL,
    PLAIN,
    ClassScore,
    Columns,
    LabelSource,
    Prediction,
    stream_predictions,
    table_rows,
)
from latte.interfaces import ImageReference, LatteError
from latte.interfaces.questions import NONE_OF_THESE
from latte.io.files import digest, partial_file, rescue_leftover, write_atomically
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
        """The file with the rows of a stopped call, such as `labels.csv.1a2b3c4d.partial`.

        It has JSON lines, each with the `key` of its image's content.
        """
        return partial_file(self.path, self.key)

    def written(self, class_names: Sequence[str], batch_size: int = 1) -> WrittenRows:
        """Return the rows that a stopped call wrote, of its whole batches.

        The rows of a batch depend on each other by rounding, so that a call which goes on after a
        whole batch gives the same rows as a call that was never stopped.
        """
        rescue_leftover(self.unfinished)
        written = WrittenRows(self.unfinished, class_names, batch_size)
        if written.are_unknown:  # as the larger file, it could later replace the rows of this call
            self.unfinished.unlink()
        return written

    def write(self, rows: Iterable[Prediction]) -> None:
        """Write each row immediately to a temporary file, and at the end all rows to `path`.

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
            self.unfinished.unlink(missing_ok=True)
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
        with (
            write_atomically(self.unfinished, unfinished=self.unfinished) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            stream_predictions(file, rows, "jsonl", replace(self.columns, key=True))
        with (
            self.unfinished.open(encoding="utf-8", newline="") as journal,
            write_atomically(self.path) as temporary,
        ):
            self._write_format(temporary, _parsed(journal, {}))

    def _write_format(self, path: Path, rows: Iterator[Prediction]) -> None:
        if self.format == "xlsx":
            write_workbook(path, table_rows(rows, self.columns))
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            stream_predictions(file, rows, self.format, self.columns)


class WrittenRows:
    """Rows that a stopped call wrote, to be taken in the order of its images."""

    def __init__(self, path: Path, class_names: Sequence[str], batch_size: int) -> None:
        labels = {NONE_OF_THESE: NO_LABEL, **{name: i for i, name in enumerate(class_names)}}
        names = [row.image for row in _read_rows(path, labels)] if is_file(path) else []
        self._count = len(names) - len(names) % batch_size
        self._images = {*names[: self._count]}
        self._rows = islice(_read_rows(path, labels), self._count)
        self._next = next(self._rows, None) if self._count else None
        self.are_unknown: bool = is_file(path) and path.stat().st_size > 0 and not names
        """True if the file has no row that names the content of its image."""
        self.changed = 0
        """Number of rows that were not taken because their image has changed."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._count

    def take(self, image: Path) -> Prediction | None:
        """Return the row with the name of an image; None if there is none.

        After an image whose row is not the next one, no row is returned any more.
        """
        name = path_as_text(str(image))
        row = self._next
        if row is None or name not in self._images:
            return None
        self._next = next(self._rows, None) if row.image == name else None
        return row if row.image == name else None


def continued(
    images: Iterable[Path],
    written: WrittenRows,
    predict: Callable[[Iterable[Path]], Iterator[Prediction]],
) -> Iterator[Prediction]:
    """Yield the written row of each unchanged image; `predict` yields the rows of all others."""
    with closing(_with_rows(images, written)) as images_with_rows:
        for is_predicted, group in groupby(images_with_rows, lambda pair: pair[1] is None):
            if is_predicted:
                yield from predict(image for image, _ in group)
            else:
                yield from (row for _, row in group if row is not None)


def _with_rows(
    images: Iterable[Path], written: WrittenRows
) -> Generator[tuple[Path, Prediction | None]]:
    """Yield each image with its written row; with None if it has no row, or has changed since."""
    named_rows = ((image, written.take(image)) for image in images)
    threads = image_threads()
    with closing(ordered_map(_checked, named_rows, threads=threads, ahead=4 * threads)) as checked:
        for image, row, is_unchanged in checked:
            written.changed += row is not None and not is_unchanged
            yield image, row if is_unchanged else None


def _checked(named_row: tuple[Path, Prediction | None]) -> tuple[Path, Prediction | None, bool]:
    """Return the image, its row, and True if the row was made of the image's present content."""
    image, row = named_row
    if row is None:
        return image, None, False
    try:
        content = read_image(ImageReference(row.image, image))
    except UnreadableImageError:
        return image, row, False
    return image, row, digest(content) == row.key


def _read_rows(path: Path, labels: Mapping[str, int]) -> Iterator[Prediction]:
    """Yield the rows of an unfinished file up to its end, or to a row that is cut short.

    `labels` are the indices of the class names; a name that is not among them gets `NO_LABEL`.
    """
    with path.open(encoding="utf-8", newline="") as file:
        try:
            yield from _parsed(file, labels)
        except (ValueError, KeyError, TypeError):
            return


def _parsed(file: TextIO, labels: Mapping[str, int]) -> Iterator[Prediction]:
    """Yield the rows of an unfinished file; other content raises an error."""
    for row in map(json.loads, _whole_lines(file)):
        scores = tuple(
            ClassScore(name := scored["class"], float(scored["score"]), labels.get(name, NO_LABEL))
            for scored in row["classes"]
        )
        source, key = row["source"], row["key"]
        if not scores or source not in get_args(LabelSource) or not isinstance(key, str | None):
            raise ValueError("no row that latte wrote")
        match = row.get("match")
        yield Prediction(row["image"], scores, cast("LabelSource", source), match=match, key=key)


def _whole_lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file; a last line without a line feed was not written to its end."""
    for line in file:
        if not line.endswith("\n"):
            return
        yield line
