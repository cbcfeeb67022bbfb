"""Read the labels that a person gave to images: a table, or a file or folder of another tool.

All formats in which `latte export` writes labels are read, so they can be corrected and read again.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, TypeAdapter

from latte.data.sources.classes import ClassLookup
from latte.data.sources.tables import MissingColumnError, Row, csv_rows, iterate_rows
from latte.data.sources.walk import iterate_images, list_images
from latte.interfaces import ImageReference, LatteError
from latte.interfaces.errors import did_you_mean
from latte.io.files import digest
from latte.io.paths import distinct_names, is_folder, path_as_text, read_text
from latte.results.stored import explained

NONE, UNSURE = "none of these", "cannot tell"
"""Labels for "the image shows none of the classes" and "the person cannot tell"."""

_UNREADABLE = "give a table with the columns image and label, or an export as JSON"
_FIFTYONE = "labels.json"

_Entry: TypeAlias = tuple[str, str, str, str | None]
"""Place in the file, content key of an image, text of its label, and use of the label."""


@dataclass(frozen=True)
class GivenLabel:
    """One label that a person gave to an image."""

    kind: Literal["class", "none", "unsure"]
    """`none`: no class of the list; `unsure`: the person cannot tell."""
    label: int | None
    """The class if `kind` is `class`, else None."""
    use: str | None
    """The column `use` of a table; None if it is absent or empty."""
    where: str
    """Place of the label, for error messages."""


class NamedImages:
    """Content keys of a run's images, by the names that people and tools give the images.

    An image is found by its id, in any Unicode form, by its absolute path, by the name without
    suffix that FiftyOne uses, or by its content.
    """

    def __init__(
        self, keys: Mapping[str, str], references: Callable[[], Iterable[ImageReference]]
    ) -> None:
        """Find images by `keys`, their content keys by id.

        `references` returns the images of the dataset; it is called at the first absolute path.
        """
        self._keys = keys
        self._by_form = {_composed(image): key for image, key in keys.items()}
        self._references = references

    def key(self, name: str, where: str) -> str:
        """Return the content key of the image `name`. Raises `LatteError` if there is none."""
        key = self._keys.get(name) or self._by_form.get(_composed(name))
        if key is None and os.path.isabs(name):  # noqa: PTH117 - takes any name
            key = self._by_place.get(_place(name))
        if key is None:
            hint = did_you_mean(name, self._keys) or "images are named as in pseudo_labels.csv"
            raise LatteError(f'this run has no image "{name}"', where=where, hint=hint)
        return key

    def key_without_suffix(self, name: str, where: str) -> str:
        """Return the content key of the image whose path or file name without suffix is `name`."""
        return self._by_stem.get(_composed(name)) or self.key(name, where)

    def key_of_file(self, path: Path) -> str:
        """Return the content key of the file `path`. Raises `LatteError` for a foreign image."""
        with explained(path, "remove it, or check its permissions"):
            key = digest(ImageReference(path.name, path).read_bytes())
        if key not in self._contents:
            raise LatteError("this run has no image with this content", where=str(path))
        return key

    @cached_property
    def _contents(self) -> frozenset[str]:
        return frozenset(self._keys.values())

    @cached_property
    def _by_place(self) -> dict[str, str]:
        """Content keys by absolute path, without images in archives."""
        return {
            _place(str(reference.path)): self._keys[reference.id]
            for reference in self._references()
            if reference.span is None and reference.id in self._keys
        }

    @cached_property
    def _by_stem(self) -> dict[str, str]:
        """Content keys by path and by file name without suffix, without ambiguous names."""
        keys_by_name: dict[str, set[str]] = {}
        for image, key in self._keys.items():
            path = PurePosixPath(image)
            for name in (str(path.with_suffix("")), path.stem):
                keys_by_name.setdefault(_composed(name), set()).add(key)
        return {name: keys.pop() for name, keys in keys_by_name.items() if len(keys) == 1}


def read_labels(
    path: Path, images: NamedImages, class_names: Sequence[str]
) -> dict[str, GivenLabel]:
    """Return the labels in a file or folder, by content key of the image.

    Raises `LatteError` for an unknown image or class, two labels of an image that differ, and
    malformed content; the error names the line or the place.
    """
    lookup, labels = ClassLookup(class_names), dict[str, GivenLabel]()
    for where, key, text, use in _entries(path, images, class_names):
        given = _given(text, use, where, lookup, class_names)
        earlier = labels.setdefault(key, given)
        if (earlier.kind, earlier.label, earlier.use) != (given.kind, given.label, given.use):
            raise LatteError(f"{earlier.where} has another answer for this image", where=where)
    return labels


def _given(
    text: str, use: str | None, where: str, lookup: ClassLookup, class_names: Sequence[str]
) -> GivenLabel:
    if text in (NONE, UNSURE) and text not in class_names:
        return GivenLabel("none" if text == NONE else "unsure", None, use, where)
    try:
        return GivenLabel("class", lookup.label(text, where), use, where)
    except LatteError as error:
        near = did_you_mean(text, (NONE, UNSURE)) or error.hint
        hint = f'{near} Other labels: "{NONE}" and "{UNSURE}".'
        raise LatteError(error.what, where=where, hint=hint) from error


def _entries(path: Path, images: NamedImages, class_names: Sequence[str]) -> Iterator[_Entry]:
    """Yield the labels of a file or folder; suffix and first character decide the format."""
    if is_folder(path):
        file = path / _FIFTYONE
        if file.exists():
            copies = {copy.stem: copy for copy in iterate_images(path)}
            return _fiftyone(file, read_text(file), images, copies)
        return _folder(path, images, class_names)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _table(_parquet_rows(path), images)
    if suffix in (".jsonl", ".ndjson"):
        return _table(iterate_rows(path), images)
    text = read_text(path)
    if text.lstrip()[:1] == "[":
        return _label_studio(path, text, images)
    if text.lstrip()[:1] == "{":
        return _fiftyone(path, text, images, {})
    return _table(csv_rows(path), images)


def _table(rows: Iterable[Row], images: NamedImages) -> Iterator[_Entry]:
    for row in rows:
        try:
            row.require("label")
        except MissingColumnError as error:
            error.hint = f"{error.hint} Or {_UNREADABLE}."
            raise
        if label := (row.optional_text("label") or "").strip():
            key = images.key(row.text("image"), row.where)
            yield row.where, key, label, row.optional_text("use")


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        hint = "pip install pyarrow; or give a CSV"
        raise LatteError("reading Parquet needs pyarrow", where=str(path), hint=hint) from error
    with explained(path, _UNREADABLE):
        rows = parquet.read_table(path).to_pylist()
    for number, values in enumerate(rows, 1):
        yield Row(path, number, values)


def _folder(folder: Path, images: NamedImages, class_names: Sequence[str]) -> Iterator[_Entry]:
    """Yield the labels of copies of images, in a folder per class."""
    names = dict(zip(distinct_names(class_names), class_names, strict=True))
    for path in list_images(folder, str(folder)):
        inner = path.relative_to(folder).parts
        if len(inner) == 1:
            hint = "move it into the folder of its class"
            raise LatteError("this image is in no class folder", where=str(path), hint=hint)
        yield str(path), images.key_of_file(path), names.get(inner[0], inner[0]), None


class _Value(BaseModel):
    choices: list[str] = []


class _Result(BaseModel):
    value: _Value = _Value()


class _Annotation(BaseModel):
    result: list[_Result]
    was_cancelled: bool = False


class _Data(BaseModel):
    image: str
    image_id: str | None = None
    """The image's id, if `image` is the address from which Label Studio loads the image."""


class _Task(BaseModel):
    """A task of a Label Studio export; only these fields are read."""

    data: _Data
    annotations: list[_Annotation]


class _Indexed(BaseModel):
    label: int


class _Classification(BaseModel):
    """Content of a JSON file in FiftyOne's format for image-classification datasets."""

    classes: list[str]
    labels: dict[str, int | _Indexed | None]


def _label_studio(path: Path, text: str, images: NamedImages) -> Iterator[_Entry]:
    with explained(path, _UNREADABLE):
        tasks = TypeAdapter(list[_Task]).validate_json(text)
    for number, task in enumerate(tasks, 1):
        where = f"{path}: task {number}"
        kept = (one for one in task.annotations if not one.was_cancelled)
        found = (one.value.choices for annotation in kept for one in annotation.result)
        for choices in filter(None, found):
            if len(choices) > 1:
                raise LatteError("an image has one label, not several", where=where)
            key = images.key(task.data.image_id or task.data.image, where)
            yield where, key, choices[0], None


def _fiftyone(
    path: Path, text: str, images: NamedImages, copies: Mapping[str, Path]
) -> Iterator[_Entry]:
    """Yield the labels of a FiftyOne export, in which image names have no suffix.

    `copies` are the images beside the file by name; `latte export` gives each a new name.
    """
    with explained(path, _UNREADABLE):
        found = TypeAdapter(_Classification).validate_json(text, strict=True)
    for name, label in found.labels.items():
        index = label.label if isinstance(label, _Indexed) else label
        where = f"{path}: labels.{name}"
        if index is None:
            continue
        if index not in range(len(found.classes)):
            raise LatteError(f"{index} is not an index of `classes`", where=where)
        copy = copies.get(name)
        key = images.key_of_file(copy) if copy else images.key_without_suffix(name, where)
        yield where, key, found.classes[index], None


def _composed(name: str) -> str:
    """Return a name in Unicode form NFC; some tools write a letter and its accent apart (NFD)."""
    return unicodedata.normalize("NFC", name)


def _place(path: str) -> str:
    """Return an absolute path as text, with links of its folder resolved."""
    folder, name = os.path.split(path)
    return _composed(path_as_text(os.path.join(os.path.realpath(folder), name)))  # noqa: PTH118
