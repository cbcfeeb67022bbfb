"""Classes that a person gave to images, as the argument of `latte adapt` and `latte.adapt`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from latte.interfaces import Dataset, LatteError
from latte.io.files import write_atomically
from latte.io.paths import existing_file, given_path, is_folder
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


def checked_labels(path: Path, dataset: Dataset[Any], argument: str) -> LabelCounts:
    """Return the numbers of labels in the file or folder `path`.

    Raises `LatteError` for an unknown image or class, and for everything else in the file that
    cannot be read; only a run reads the images' contents.
    """
    path = path if is_folder(path) else existing_file(path, argument)
    ids = {image.id: image.id for image in dataset.training_images()}
    images = NamedImages(ids, dataset.training_images)
    read = read_labels(path, images, dataset.class_names, dataset.class_aliases)
    labels = {key: entry.label for key, entry in read.items() if entry.label is not None}
    refuse_useless(labels, [*ids], dataset.class_names, str(path))
    return LabelCounts(len(labels), len({*labels.values()}), len(labels.keys() & images.examples))


def given_labels(value: object, file: Path) -> Path | None:
    """Convert the argument `labels` of `latte.adapt`; return the path of a file, or None.

    A mapping, pairs or a table are written to `file`. Raises `LatteError` for any other value.
    """
    if value is None or isinstance(value, str | PathLike):
        return None if value is None else given_path(value, "labels")
    rows = [(str(image), name) for image, name in _pairs(value) if _is_label(name)]
    for number, (image, name) in enumerate(rows):
        if not isinstance(name, str):
            what = f"{name!r}, the class of {image}, is no text"
            raise LatteError(what, where=f"labels.{number}", hint=_HINT)
    with (
        write_atomically(file) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        csv.writer(stream).writerows([("path", "class"), *rows])
    return file


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
