"""Classes that a person gave to images, as the argument of `latte adapt` and `latte.adapt`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from latte.data.sources.workbook import sheet_note
from latte.interfaces import Dataset, LatteError, Progress
from latte.io.files import write_atomically
from latte.io.paths import existing_file, given_path, is_file, is_folder, path_as_text
from latte.report.numbers import plural
from latte.results.given_labels import read_labels, refuse_useless
from latte.results.named_images import NamedImages

_NAMES = ({"path", "image"}, {"class", "label"})
"""Names of the two columns of a table, as files have them."""
_HINT = "give {path: class}, pairs (path, class), a table with two columns, or a file"


@dataclass(frozen=True)
class LabelCounts:
    """Numbers of images and classes in a person's labels."""

    images: int
    classes: int
    examples: int
    """Number of the images that are not among the user's images."""

    def __str__(self) -> str:
        """Return the numbers in words."""
        words = (
            f"labels: {plural(self.images, 'image')} of {plural(self.classes, 'class', 'classes')}"
        )
        if self.examples:
            words += f"; {self.examples:,} are not among your images, and join them"
        return words


def checked_labels(
    path: Path, dataset: Dataset[Any], argument: str, progress: Progress | None = None
) -> LabelCounts:
    """Return the numbers of labels in the file or folder `path`.

    `progress` says which sheet of a workbook is read, if it has several. Only a run reads the
    images' contents. Raises `LatteError` for an unknown image or class, and for everything else in
    the file that cannot be read.
    """
    path = path if is_folder(path) else existing_file(path, argument)
    ids = {image.id: image.id for image in dataset.training_images()}
    images = NamedImages(ids, dataset.training_images)
    if progress and (note := sheet_note(path)):
        progress.say(note)
    read = read_labels(path, images, dataset.class_names, dataset.class_aliases)
    labels = {key: entry.label for key, entry in read.items() if entry.label is not None}
    refuse_useless(labels, [*ids], dataset.class_names, str(path))
    return LabelCounts(len(labels), len({*labels.values()}), len(labels.keys() & images.examples))


@contextmanager
def given_labels(value: object, file: Path) -> Iterator[Path | None]:
    """Convert the argument `labels` of `latte.adapt`; yield the path of a file, or None.

    A mapping, pairs or a table are written to `file`. Raises `LatteError` for any other value. If
    the block raises an error, `file` is restored, and a `LatteError` about a line of `file` names
    the image that the caller gave.
    """
    if value is None or isinstance(value, str | PathLike):
        yield None if value is None else given_path(value, "labels")
        return
    earlier, is_new_folder = (
        file.read_bytes() if is_file(file) else None,
        not is_folder(file.parent),
    )
    _write_labels(value, file)
    try:
        yield file
    except BaseException as error:
        if isinstance(error, LatteError):
            _name_images(error, file)
        if earlier is not None:
            file.write_bytes(earlier)
        else:
            file.unlink(missing_ok=True)
        if is_new_folder:
            with suppress(OSError):  # it may have other files by now
                file.parent.rmdir()
        raise


def _write_labels(value: object, file: Path) -> None:
    rows = [(path_as_text(str(image)), name) for image, name in _pairs(value) if _is_label(name)]
    for number, (image, name) in enumerate(rows):
        if not isinstance(name, str):
            what = f"{name!r}, the class of {image}, is no text"
            raise LatteError(what, where=f"labels.{number}", hint=_HINT)
        if path_as_text(name) != name:
            what = f"{name!r}, the class of {image}, is not Unicode text"
            raise LatteError(what, where=f"labels.{number}", hint=_HINT)
    with (
        write_atomically(file) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        csv.writer(stream).writerows([("path", "class"), *rows])


def _name_images(error: LatteError, file: Path) -> None:
    """Replace `FILE:LINE` in the error by `labels["IMAGE"]`, and `FILE` by `labels`."""
    images: dict[int, str] = {}
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        for row in reader:
            images[reader.line_num] = row[0]

    def place(match: re.Match[str]) -> str:
        image = images.get(int(match[1] or 0))
        return "labels" if image is None else f'labels["{image}"]'

    def renamed(text: str) -> str:
        return re.sub(rf"{re.escape(str(file))}(?::(\d+))?", place, text)

    error.what = renamed(error.what)
    error.where = error.where and renamed(error.where)
    error.hint = error.hint and renamed(error.hint)


def _pairs(value: object) -> Iterator[tuple[object, object]]:
    """Yield the images and classes of a mapping, a table of pandas or polars, or pairs."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif hasattr(value, "columns") and hasattr(value, "__getitem__"):
        yield from zip(*(value[column] for column in _columns([*value.columns])), strict=True)
    elif isinstance(value, Iterable):
        for number, pair in enumerate(value):
            if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
                raise LatteError(f"{pair!r} is no pair", where=f"labels.{number}", hint=_HINT)
            yield pair[0], pair[1]
    else:
        raise LatteError(f"{type(value).__name__} is no table", where="labels", hint=_HINT)


def _columns(columns: Sequence[Any]) -> Sequence[Any]:
    """Return the columns with images and classes: those with these names, or the only two."""
    by_name = [next((name for name in columns if name in names), None) for names in _NAMES]
    if None not in by_name:
        return by_name
    if len(columns) != 2:
        what = f"the table has the columns {', '.join(map(str, columns))}"
        raise LatteError(what, where="labels", hint="name two of them path and class")
    return columns


def _is_label(name: object) -> bool:
    """Return True unless a table's cell is empty: None, an empty text or NaN."""
    return name is not None and name != "" and name == name
