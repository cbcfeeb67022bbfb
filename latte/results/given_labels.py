"""Read the classes that a person gave to images, from every format that latte accepts.

These are the answers of a review, a table, or a file or folder of another tool. All formats in
which `latte export` writes labels are read, so they can be corrected and read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, TypeAdapter

from latte.data.few_images import counted
from latte.data.sources.class_lookup import ClassLookup
from latte.data.sources.tables import TableRow
from latte.data.sources.walk import iterate_images, list_images
from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.interfaces.questions import CANNOT_TELL, NONE_OF_THESE
from latte.io.json_text import parse_json
from latte.io.paths import distinct_names, is_folder, read_text
from latte.results.answers import (
    is_about,
    latest,
    read_answers,
    read_class_changes,
    with_current_classes,
)
from latte.results.class_lists import digest_of_classes
from latte.results.folder import MODEL_ANSWERS, REVIEW
from latte.results.label_tables import UNREADABLE, image_labels, table_rows
from latte.results.named_images import NamedImages
from latte.results.stored import explained

_FIFTYONE = "labels.json"

_ANSWERS = (REVIEW, MODEL_ANSWERS)
"""Names of files of answers that latte stored."""
_LocatedLabel: TypeAlias = tuple[str, str, str]
"""Place in the file, content key of an image, and text of its label."""


@dataclass(frozen=True)
class GivenLabel:
    """One label that a person or a model gave to an image."""

    label: int | None
    """The class; None for "none of these" and "cannot tell"."""
    where: str
    """Place of the label, for error messages."""
    is_none: bool = False
    """True for "none of these"."""
    reliability: float = 1.0
    """Probability that the label is right; 1 for a person's."""


def read_labels(
    path: Path,
    images: NamedImages,
    class_names: Sequence[str],
    aliases: Sequence[Sequence[str]] = (),
) -> dict[str, GivenLabel]:
    """Return the labels in a file or folder, by content key of the image.

    Answers of a review that name a class of another list are left out; see `unknown_answers`.
    Images that are not of the run are added to `images.examples`. Raises `LatteError` for an
    unknown image or class, two labels of an image that differ, and malformed content; the error
    names the line or the place. `aliases` has all names of each class, if some have several.
    """
    lookup, labels = ClassLookup(class_names, aliases), dict[str, GivenLabel]()
    is_stored = path.name in _ANSWERS
    reliabilities = _reliabilities(path) if is_stored else {}
    for where, key, text in _entries(path, images, class_names):
        if is_stored and not _is_known(text, lookup):
            continue
        label = given_label(text, where, lookup, class_names)
        is_none = label is None and text == NONE_OF_THESE
        entry = GivenLabel(label, where, is_none, reliabilities.get(key, 1.0))
        earlier = labels.setdefault(key, entry)
        if (earlier.label, earlier.is_none) != (entry.label, entry.is_none):
            raise LatteError(
                f"{earlier.where} has another label for this image",
                where=where,
                hint="keep one of the two",
            )
    return labels


def _reliabilities(path: Path) -> dict[str, float]:
    """Return the reliability of each stored answer, by content key of the image."""
    return {key: answer.reliability for key, answer in latest(read_answers(path)).items()}


def unknown_answers(
    path: Path,
    images: NamedImages,
    class_names: Sequence[str],
    aliases: Sequence[Sequence[str]] = (),
) -> Counter[str | None]:
    """Return the number of answers in the file of a review by class name, of classes not listed."""
    if path.name not in _ANSWERS:
        return Counter()
    lookup = ClassLookup(class_names, aliases)
    names = (name for _, _, name in _answers(path, images, class_names))
    return Counter[str | None](name for name in names if not _is_known(name, lookup))


def _is_known(text: str, lookup: ClassLookup) -> bool:
    """Return True for the name of a class, and for "none of these"."""
    with suppress(LatteError):
        return text == NONE_OF_THESE or lookup.label(text, "") >= 0
    return False


def read_series(path: Path, images: NamedImages) -> dict[str, str]:
    """Return the series in the column `series` of a table of labels, by content key of the image.

    Files and folders without this column give none. A series is one of its file.
    """
    if is_folder(path) or path.name in _ANSWERS:
        return {}
    return {
        images.key(row.text("image"), row.where, row.file.parent): f"{path}: {row.series}"
        for row in table_rows(path) or ()
        if row.series is not None
    }


def refuse_useless(
    labels: Mapping[str, int], keys: Sequence[str], class_names: Sequence[str], where: str
) -> None:
    """Raise `LatteError` if there is no label, only one class, or nothing left to label.

    `labels` are the given classes by key of the image, and `keys` are those of all images.
    """
    error = why_useless(labels, keys, class_names, where)
    if error is not None:
        raise error


def why_useless(
    labels: Mapping[str, int], keys: Sequence[str], class_names: Sequence[str], where: str
) -> LatteError | None:
    """Return the error for labels that cannot teach; None if they can."""
    if not labels:
        return LatteError("there is no label", where=where, hint="give the class of some images")
    if len({*labels.values()}) == 1:
        name = class_names[next(iter(labels.values()))]
        only = "the only label is" if len(labels) == 1 else f"all {len(labels):,} labels are"
        hint = "give an image of another class, too"
        return LatteError(f'{only} of the class "{name}"', where=where, hint=hint)
    if all(key in labels for key in keys):
        return LatteError(
            f"all {counted(len(keys), 'image')} have a label, so nothing is left to label",
            where=where,
            hint="leave out some labels, or add images without labels; to measure with these "
            "labels: latte adapt IMAGES --test FILE",
        )
    return None


def given_label(
    text: str, where: str, lookup: ClassLookup, class_names: Sequence[str]
) -> int | None:
    """Return the class that a label names; None for "none of these" and "cannot tell"."""
    if text in (NONE_OF_THESE, CANNOT_TELL) and text not in class_names:
        return None
    try:
        return lookup.label(text, where)
    except LatteError as error:
        near = did_you_mean(text, (NONE_OF_THESE, CANNOT_TELL)) or error.hint
        hint = f'{near} Other labels: "{NONE_OF_THESE}" and "{CANNOT_TELL}".'
        raise LatteError(error.what, where=where, hint=hint) from error


def _entries(
    path: Path, images: NamedImages, class_names: Sequence[str]
) -> Iterator[_LocatedLabel]:
    """Yield the labels of a file or folder; suffix and first character decide the format."""
    if is_folder(path):
        file = path / _FIFTYONE
        if file.exists():
            copies = {copy.stem: copy for copy in iterate_images(path)}
            return _fiftyone(file, read_text(file), images, copies)
        return _folder(path, images, class_names)
    if path.name in _ANSWERS:
        return _answers(path, images, class_names)
    rows = table_rows(path)
    if rows is not None:
        return _table(rows, images, class_names)
    text = read_text(path)
    if text.lstrip()[:1] == "[":
        return _label_studio(path, text, images)
    return _fiftyone(path, text, images, {})


def _answers(
    path: Path, images: NamedImages, class_names: Sequence[str]
) -> Iterator[_LocatedLabel]:
    """Yield the answers of a review.

    Answers about images that the run lacks are left out, as are those which say that none of other
    classes fits. A class has its name in `class_names`, even if a person changed the name since.
    """
    changes = read_class_changes([path])
    names = changes.current(class_names)
    classes, listed = digest_of_classes(names), dict(zip(names, class_names, strict=False))
    answers = with_current_classes(read_answers(path), changes)
    for key, answer in latest(answers).items():
        label = NONE_OF_THESE if answer.kind == "none" else answer.label
        label = label and listed.get(label, label)
        if label is not None and key in images and is_about(answer, classes):
            yield str(path), key, label


def _table(
    rows: Iterator[TableRow], images: NamedImages, class_names: Sequence[str]
) -> Iterator[_LocatedLabel]:
    for row, image, label in image_labels(rows, class_names):
        yield row.where, images.key(image, row.where, row.file.parent), label


def _folder(
    folder: Path, images: NamedImages, class_names: Sequence[str]
) -> Iterator[_LocatedLabel]:
    """Yield the labels of the images in a folder per class."""
    names = dict(zip(distinct_names(class_names), class_names, strict=True))
    for path in list_images(folder, str(folder)):
        inner = path.relative_to(folder).parts
        if len(inner) == 1:
            hint = "move it into the folder of its class"
            raise LatteError("this image is in no class folder", where=str(path), hint=hint)
        yield str(path), images.key_of_file(path), names.get(inner[0], inner[0])


class _Value(BaseModel):
    choices: list[str] = []


class _AnnotationResult(BaseModel):
    value: _Value = _Value()


class _Annotation(BaseModel):
    result: list[_AnnotationResult]
    was_cancelled: bool = False


class _Data(BaseModel):
    image: str
    image_id: str | None = None
    """The image's id, if `image` is the address from which Label Studio loads the image."""


class _LabelStudioTask(BaseModel):
    """A task of a Label Studio export; only these fields are read."""

    data: _Data
    annotations: list[_Annotation]


class _Indexed(BaseModel):
    label: int


class _Classification(BaseModel):
    """Content of a JSON file in FiftyOne's format for image-classification datasets."""

    classes: list[str]
    labels: dict[str, int | _Indexed | None]


def _label_studio(path: Path, text: str, images: NamedImages) -> Iterator[_LocatedLabel]:
    with explained(path, UNREADABLE):
        parse_json(text)  # raises an error for a key that occurs twice
        tasks = TypeAdapter(list[_LabelStudioTask]).validate_json(text)
    for number, task in enumerate(tasks, 1):
        where = f"{path}: task {number}"
        finished = (entry for entry in task.annotations if not entry.was_cancelled)
        choices = (result.value.choices for entry in finished for result in entry.result)
        for labels in filter(None, choices):
            if len(labels) > 1:
                raise LatteError("an image has one label, not several", where=where)
            name = task.data.image_id or task.data.image
            yield where, images.key(name, where, path.parent), labels[0]


def _fiftyone(
    path: Path, text: str, images: NamedImages, copies: Mapping[str, Path]
) -> Iterator[_LocatedLabel]:
    """Yield the labels of a FiftyOne export, in which image names have no suffix.

    `copies` are the images beside the file by name; `latte export` gives each a new name.
    """
    with explained(path, UNREADABLE):
        parse_json(text)  # raises an error for a key that occurs twice
        content = TypeAdapter(_Classification).validate_json(text, strict=True)
    for name, label in content.labels.items():
        index = label.label if isinstance(label, _Indexed) else label
        where = f"{path}: labels.{name}"
        if index is None:
            continue
        if index not in range(len(content.classes)):
            raise LatteError(f"{index} is not an index of `classes`", where=where)
        copy = copies.get(name)
        if copy:
            key = images.key_of_file(copy)
        else:
            key = images.key_without_suffix(name, where, path.parent)
        yield where, key, content.classes[index]
