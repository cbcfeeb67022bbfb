"""Read answers from a CSV, or from an export of Label Studio or FiftyOne."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

from pydantic import BaseModel, TypeAdapter

from latte.data.sources.tables import MissingColumnError, csv_rows
from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.io.paths import existing_file, read_text
from latte.results.answers import Answer, Kind, Use, now
from latte.results.stored import explained
from latte.review.population import teaches
from latte.review.session import Review

NONE, UNSURE = "none of these", "cannot tell"
"""Labels for "the image shows none of the classes" and "the person cannot tell"."""

_UNREADABLE = "give a CSV with the columns image and label, or an export as JSON"


@dataclass(frozen=True)
class _Given:
    where: str
    image: str
    label: str
    use: str | None = None


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


def import_answers(review: Review, path: Path) -> list[Answer]:
    """Append the new answers of a file to the review, and return them.

    If the column `use` (`evidence` or `teaching`) is empty, the answer gets the use of an earlier
    answer about the image. Without earlier answers, a hash of the image's content decides.

    Raises `LatteError` before anything is written if an image or a class is unknown, or if two
    answers of the file contradict each other.
    """
    stored = review.stored()
    before = stored.answers
    keys = dict(zip(review.run.training_ids, review.run.training_keys, strict=True))
    composed = {_composed(image): image for image in keys}
    found: dict[str, tuple[_Given, Answer]] = {}
    for one in _read(path, keys):
        image = one.image if one.image in keys else composed.get(_composed(one.image))
        if image is None:
            hint = did_you_mean(one.image, keys) or "images are named as in pseudo_labels.csv"
            raise LatteError(f'this run has no image "{one.image}"', where=one.where, hint=hint)
        key = keys[image]
        kind, label = _meaning(one, review)
        use = _use(one, key, stored.latest.get(key))
        if use == "teaching" and len(review.runs) > 1:
            what = "several runs are only measured, and this answer would teach"
            hint = "write evidence in the column use, or import it into one run"
            raise LatteError(what, where=one.where, hint=hint)
        stored.check_use(key, use, one.where)
        queue = "evidence" if use == "evidence" else "import"
        answer = Answer(key, kind, label, use, queue, review.name, now(), image)
        first, other = found.setdefault(key, (one, answer))
        if _content(other) != _content(answer):
            raise LatteError(f"{first.where} has another answer for this image", where=one.where)
    new = [
        answer
        for key, (_, answer) in found.items()
        if key not in before or _content(before[key]) != _content(answer)
    ]
    review.append(new, stored)
    return new


def _read(path: Path, keys: Mapping[str, str]) -> Iterator[_Given]:
    """Yield the answers of a file; the file's first character decides the format."""
    text = read_text(existing_file(path, "--import"))
    if text.lstrip()[:1] == "[":
        yield from _label_studio(path, text)
        return
    if text.lstrip()[:1] == "{":
        yield from _fiftyone(path, text, keys)
        return
    for row in csv_rows(path):
        try:
            row.require("label")
        except MissingColumnError as error:
            error.hint = f"{error.hint} Or {_UNREADABLE}."
            raise
        if label := (row.optional_text("label") or "").strip():
            yield _Given(row.where, row.text("image"), label, row.optional_text("use"))


def _label_studio(path: Path, text: str) -> Iterator[_Given]:
    with explained(path, _UNREADABLE):
        tasks = TypeAdapter(list[_Task]).validate_json(text)
    for number, task in enumerate(tasks, 1):
        where = f"{path}: task {number}"
        kept = (one for one in task.annotations if not one.was_cancelled)
        found = (one.value.choices for annotation in kept for one in annotation.result)
        for choices in filter(None, found):
            if len(choices) > 1:
                raise LatteError("an image has one label, not several", where=where)
            yield _Given(where, task.data.image_id or task.data.image, choices[0])


def _fiftyone(path: Path, text: str, keys: Mapping[str, str]) -> Iterator[_Given]:
    """Yield the answers of a FiftyOne export, in which image names have no suffix."""
    with explained(path, _UNREADABLE):
        found = TypeAdapter(_Classification).validate_json(text, strict=True)
    ids = _ids_without_suffix(keys)
    for name, label in found.labels.items():
        index = label.label if isinstance(label, _Indexed) else label
        where = f"{path}: labels.{name}"
        if index is None:
            continue
        if index not in range(len(found.classes)):
            raise LatteError(f"{index} is not an index of `classes`", where=where)
        image = ids.get(name) or ids.get(_composed(name), name)
        yield _Given(where, name if name in keys else image, found.classes[index])


def _ids_without_suffix(keys: Mapping[str, str]) -> dict[str, str]:
    """Map paths and file names without suffix to image ids; ambiguous names are left out."""
    found: dict[str, set[str]] = {}
    for image in keys:
        path = PurePosixPath(image)
        for name in (str(path.with_suffix("")), path.stem):
            found.setdefault(name, set()).add(image)
            found.setdefault(_composed(name), set()).add(image)
    return {
        name: min(images)
        for name, images in found.items()
        if len({keys[image] for image in images}) == 1
    }


def _composed(name: str) -> str:
    """Return a name in Unicode form NFC; some tools write a letter and its accent apart (NFD)."""
    return unicodedata.normalize("NFC", name)


def _meaning(given: _Given, review: Review) -> tuple[Kind, str | None]:
    names = review.run.class_names
    if given.label in (NONE, UNSURE) and given.label not in names:
        return ("none" if given.label == NONE else "unsure"), None
    if (label := review.spelt(given.label)) in names:
        return "class", label
    hint = did_you_mean(given.label, [*names, NONE, UNSURE])
    hint = f'{hint} Other labels: "{NONE}" and "{UNSURE}".'.lstrip()
    raise LatteError(f'"{given.label}" is none of the class names', where=given.where, hint=hint)


def _use(given: _Given, key: str, before: Answer | None) -> Use:
    if given.use is None:
        return before.use if before else "teaching" if teaches(key) else "evidence"
    if given.use not in get_args(Use):
        hint = "it is evidence, teaching or empty"
        raise LatteError(f'there is no use "{given.use}"', where=given.where, hint=hint)
    return "evidence" if given.use == "evidence" else "teaching"


def _content(answer: Answer) -> tuple[Kind, str | None, Use]:
    return answer.kind, answer.label, answer.use
