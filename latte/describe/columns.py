"""Read and write the texts that a run uses: `descriptions.jsonl` in the run folder.

The file has one line per training image. In memory, there is one `Column` per description of the
recipe; it has the texts about all images.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte.describe.generate import Results
from latte.describe.plan import Descriptions, Plans
from latte.interfaces import DescriptionType, LatteError
from latte.io.files import write_atomically


@dataclass(frozen=True)
class Column:
    """Texts of one description about S subjects, which are images or groups of images."""

    texts: Sequence[tuple[str | None, ...]]
    """For each subject, one text per prompt and sample; None where the describer refused."""
    groups: Tensor | None = None
    """(S, size) int64: indices of the training images in each group; None for scope `image`."""
    subject_of_image: Tensor | None = None
    """(N,) int64: index of the subject of each training image; None: image i has subject i."""

    def subjects(self) -> Tensor:
        """Return the index (N,) int64 of the subject of each training image."""
        return (
            torch.arange(len(self.texts))
            if self.subject_of_image is None
            else self.subject_of_image
        )


def planned_columns(plans: Plans, results: Results) -> dict[str, Column]:
    """Return one column of texts per description of the recipe.

    `plans` and `results` map names of describers to their requests and answers.
    """
    columns = {}
    for name, plan in plans.items():
        answers = results[name].texts
        for label, planned in plan.descriptions.items():
            texts = [tuple(answers[row] for row in rows) for rows in planned.rows]
            columns[label] = Column(texts, planned.groups, planned.subject_of_image)
    return columns


def write_columns(
    path: Path,
    ids: Sequence[str],
    zero_shot_labels: Tensor,
    class_names: Sequence[str],
    columns: Mapping[str, Column],
) -> None:
    """Write one JSON line per training image, atomically. Keys of `columns` are descriptions."""
    subjects = {label: column.subjects().tolist() for label, column in columns.items()}
    # An undecodable byte in a file name is a surrogate; `backslashreplace` escapes it as JSON does.
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        for row, (id_, class_) in enumerate(zip(ids, zero_shot_labels.tolist(), strict=True)):
            fields = {
                "id": id_,
                "frozen_label": class_,
                "frozen_class": class_names[class_],
                "descriptions": {
                    label: _described(column, subjects[label][row], ids)
                    for label, column in columns.items()
                },
            }
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def _described(column: Column, subject: int, ids: Sequence[str]) -> dict[str, Any]:
    texts = column.texts[subject]
    described: dict[str, Any] = {"text": texts[0]} if len(texts) == 1 else {"texts": list(texts)}
    if column.groups is not None:
        described["group"] = [ids[row] for row in column.groups[subject].tolist()]
        if column.subject_of_image is not None:
            described["number"] = subject
    return described


def read_columns(
    path: Path, descriptions: Descriptions, classes: int
) -> tuple[tuple[str, ...], Tensor, dict[str, Column]]:
    """Read the given descriptions of all images from a file that `write_columns` wrote.

    Returns the ids of the N images, their zero-shot labels (N,) int64, and a column of texts for
    each description that is not about classes. Raises `LatteError` if the file is missing or
    damaged, or does not fit the descriptions and the number of `classes`.
    """
    asking = {label: kind for label, kind in descriptions.items() if kind.scope != "class"}
    numbers: dict[str, int] = {}
    builders = {label: _ColumnBuilder(label, kind, path) for label, kind in asking.items()}
    labels, order = array("i"), array("i")
    for row in _read_rows(path, [*asking], classes):
        labels.append(row.frozen_label)
        order.append(numbers.setdefault(row.id, len(numbers)))
        for builder in builders.values():
            builder.add(row, numbers)
    ids_by_number = [*numbers]
    ids = tuple(ids_by_number[number] for number in order)
    row_of_number = torch.full((len(numbers),), -1, dtype=torch.int64)
    row_of_number[_tensor(order)] = torch.arange(len(order))
    columns = {label: builder.build(row_of_number) for label, builder in builders.items()}
    return ids, _tensor(labels), columns


@dataclass(frozen=True)
class _ImageTexts:
    id: str
    frozen_label: int
    texts: Mapping[str, tuple[str | None, ...]]
    """Texts by description, at least one per description; None stands for a refused text."""
    groups: Mapping[str, tuple[str, ...]]
    """Ids of the images that are shown together, for each group description."""
    numbers: Mapping[str, int]
    """Number of the image's group, by description, if several images share groups."""


class _ColumnBuilder:
    """Builder of one description's column of texts, from the lines of `descriptions.jsonl`.

    A group may contain images whose lines come later in the file. So groups are stored as numbers,
    one per image id in the order of first occurrence; `build` converts the numbers to rows.
    """

    def __init__(self, label: str, kind: DescriptionType[Any], path: Path) -> None:
        self._label = label
        self._path = path
        self._size = kind.group_size if kind.scope == "group" else None
        self._shared = kind.scope == "group" and kind.groups_per_class is not None
        self._texts: list[tuple[str | None, ...]] = []
        self._members = array("i")
        self._own = array("i")
        self._place: dict[int, int] = {}
        """For each shared group, by its number: the index of its texts in `_texts`."""

    def add(self, row: _ImageTexts, numbers: dict[str, int]) -> None:
        """Add the texts about one image; texts about a shared group are added only once."""
        if self._shared:
            subject = row.numbers.get(self._label, -1)
            self._own.append(subject)
            if subject in self._place:
                return
            self._place[subject] = len(self._texts)
        self._texts.append(row.texts[self._label])
        if self._size is not None:
            members = row.groups.get(self._label, ())
            if len(members) != self._size:
                raise self._misfit()
            self._members.extend(numbers.setdefault(id_, len(numbers)) for id_ in members)

    def build(self, row_of_number: Tensor) -> Column:
        """Return the column. `row_of_number` maps an image's number to its row; -1 means no row."""
        groups = None
        if self._size is not None:
            groups = row_of_number[_tensor(self._members)].reshape(-1, self._size)
            if bool((groups < 0).any()):
                raise self._misfit()
        if not self._shared:
            return Column(self._texts, groups)
        if sorted(self._place) != [*range(len(self._place))]:
            raise self._misfit()
        order = [self._place[subject] for subject in range(len(self._place))]
        texts = [self._texts[place] for place in order]
        return Column(texts, None if groups is None else groups[order], _tensor(self._own))

    def _misfit(self) -> LatteError:
        what = f"the groups of `{self._label}` do not fit this recipe"
        return LatteError(what, where=str(self._path), hint=_REMEDY)


def _tensor(numbers: Sequence[int]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


def _read_rows(path: Path, labels: Sequence[str], classes: int) -> Iterator[_ImageTexts]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                yield _parse(text, f"{path}:{number}", labels, classes)
    except UnicodeDecodeError as error:
        raise _damaged(str(path), "not UTF-8 text") from error
    except OSError as error:
        raise LatteError(
            f"descriptions cannot be read: {error.strerror or error}",
            where=str(path),
            hint="describe the images first",
        ) from error


def _parse(text: str, where: str, labels: Sequence[str], classes: int) -> _ImageTexts:
    try:
        fields: dict[str, Any] = json.loads(text)
        pairs = [(label, fields["descriptions"][label]) for label in labels]
        row = _ImageTexts(
            id=_id(fields["id"]),
            frozen_label=int(fields["frozen_label"]),
            texts={name: _texts(content) for name, content in pairs},
            groups={
                name: tuple(map(_id, content["group"]))
                for name, content in pairs
                if "group" in content
            },
            numbers={
                name: int(content["number"]) for name, content in pairs if "number" in content
            },
        )
    except _MALFORMED as error:
        raise _damaged(where, f"{type(error).__name__}: {error}") from error
    if not 0 <= row.frozen_label < classes:
        raise _damaged(where, f"frozen label {row.frozen_label} of {classes} classes")
    return row


def _texts(described: Mapping[str, Any]) -> tuple[str | None, ...]:
    texts = described["texts"] if "texts" in described else [described["text"]]
    if not isinstance(texts, list) or not texts:
        raise ValueError("the texts are not a list, or an empty one")
    if not all(isinstance(text, str | None) for text in texts):
        raise ValueError("a text is not a string")
    return tuple(texts)


def _id(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("an id is not a string")
    return value


def _damaged(where: str, reason: str) -> LatteError:
    return LatteError(f"the line does not fit this recipe ({reason})", where=where, hint=_REMEDY)


_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_REMEDY = "remove the file to have it written again; stored texts are reused"
