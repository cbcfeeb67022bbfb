"""`descriptions.jsonl` in a run folder: one line a training image, for people and programs."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from latte.describe.column import Column
from latte.interfaces import DescriptionType, LatteError
from latte.io.files import write_atomically


@dataclass(frozen=True)
class BankLine:
    """Everything that was written about one training image."""

    id: str
    frozen_label: int
    frozen_class: str
    """The name of `frozen_label`, for people who read the file."""
    texts: Mapping[str, tuple[str | None, ...]]
    """By description, at least one; None where the describer refused."""
    groups: Mapping[str, tuple[str, ...]]
    """Ids of the images shown together, for group descriptions."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Which of the groups that images share it is, for group descriptions with fewer groups."""


def write_bank(path: Path, lines: Iterable[BankLine]) -> None:
    """Write all `lines` to `path`, whole or not at all."""
    with write_atomically(path) as temporary, _open_for_writing(temporary) as file:
        for line in lines:
            descriptions = {
                label: _said(texts) | _members(line, label) for label, texts in line.texts.items()
            }
            fields = {
                "id": line.id,
                "frozen_label": line.frozen_label,
                "frozen_class": line.frozen_class,
                "descriptions": descriptions,
            }
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def read_bank(path: Path, labels: Sequence[str], classes: int) -> Iterator[BankLine]:
    """Read what `write_bank` wrote, line by line: the descriptions `labels` of every image.

    Raises `LatteError` for a file that is missing, damaged, or lacks one of `labels`.
    """
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


def _open_for_writing(path: Path) -> TextIO:
    # Surrogates of undecodable file names become \\udcXX, which is how JSON escapes them.
    return path.open("w", encoding="utf-8", errors="backslashreplace")


def _said(texts: tuple[str | None, ...]) -> dict[str, Any]:
    return {"text": texts[0]} if len(texts) == 1 else {"texts": list(texts)}


def _read_said(described: Mapping[str, Any]) -> tuple[str | None, ...]:
    texts = described["texts"] if "texts" in described else [described["text"]]
    if not isinstance(texts, list) or not texts:
        raise ValueError("no list of texts")
    if not all(isinstance(text, str | None) for text in texts):
        raise ValueError("something else than texts")
    return tuple(texts)


def _members(line: BankLine, label: str) -> dict[str, Any]:
    members = {"group": list(line.groups[label])} if label in line.groups else {}
    return members | ({"number": line.numbers[label]} if label in line.numbers else {})


def _parse(text: str, where: str, labels: Sequence[str], classes: int) -> BankLine:
    try:
        fields: dict[str, Any] = json.loads(text)
        described = {label: fields["descriptions"][label] for label in labels}
        line = BankLine(
            id=_text(fields["id"]),
            frozen_label=int(fields["frozen_label"]),
            frozen_class=fields["frozen_class"],
            texts={label: _read_said(of) for label, of in described.items()},
            groups={
                label: tuple(map(_text, of["group"]))
                for label, of in described.items()
                if "group" in of
            },
            numbers={label: int(of["number"]) for label, of in described.items() if "number" in of},
        )
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise _damaged(where, f"{type(error).__name__}: {error}") from error
    if not 0 <= line.frozen_label < classes:
        raise _damaged(where, f"frozen label {line.frozen_label} of {classes} classes")
    return line


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("an id is no text")
    return value


def _damaged(where: str, why: str) -> LatteError:
    return LatteError(
        f"the line does not fit this recipe ({why})",
        where=where,
        hint="remove the file to have it written anew; stored texts are reused",
    )


# From the lines of `descriptions.jsonl` back to columns, a line at a time.


@dataclass(frozen=True)
class Loaded:
    """What was written about N training images."""

    ids: tuple[str, ...]
    zero_shot_labels: Tensor
    """(N,) int64"""
    columns: dict[str, Column]
    """By description that a describer was asked for."""


def load_columns(
    lines: Iterable[BankLine], descriptions: Mapping[str, DescriptionType[Any]], path: Path
) -> Loaded:
    """The columns of `lines`; `path` is the file, for messages.

    Raises `LatteError` where the lines do not fit.
    """
    asking = {label: kind for label, kind in descriptions.items() if kind.scope != "class"}
    names = _Names()
    growing = {label: _Growing(label, kind, path) for label, kind in asking.items()}
    labels, rows = array("i"), array("i")
    for line in lines:
        labels.append(line.frozen_label)
        rows.append(names.number(line.id))
        for column in growing.values():
            column.add(line, names)
    ids = names.named(rows)
    row_of_number = torch.full((len(names),), -1, dtype=torch.int64)
    row_of_number[_tensor(rows)] = torch.arange(len(rows))
    columns = {label: column.done(row_of_number) for label, column in growing.items()}
    return Loaded(ids, _tensor(labels), columns)


class _Names:
    """Numbers for ids in the order in which they come up: members may come before their line."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, id_: str) -> int:
        return self._numbers.setdefault(id_, len(self._numbers))

    def named(self, numbers: Iterable[int]) -> tuple[str, ...]:
        ids = [*self._numbers]
        return tuple(ids[number] for number in numbers)

    def __len__(self) -> int:
        return len(self._numbers)


class _Growing:
    """The column of one description, as far as lines were read."""

    def __init__(self, label: str, kind: DescriptionType[Any], path: Path) -> None:
        self._label = label
        self._path = path
        self._size = kind.group_size if kind.scope == "group" else None
        self._shared = kind.scope == "group" and kind.groups_per_class is not None
        self._texts: list[tuple[str | None, ...]] = []
        self._members = array("i")
        self._own = array("i")
        self._place: dict[int, int] = {}
        """Of each subject that images share: where its texts are."""

    def add(self, line: BankLine, names: _Names) -> None:
        """Take what `line` says about its image; of a shared group the first line counts."""
        if self._shared:
            subject = line.numbers.get(self._label, -1)
            self._own.append(subject)
            if subject in self._place:
                return
            self._place[subject] = len(self._texts)
        self._texts.append(line.texts[self._label])
        if self._size is not None:
            members = line.groups.get(self._label, ())
            if len(members) != self._size:
                raise _misfit(self._label, self._path)
            self._members.extend(map(names.number, members))

    def done(self, row_of_number: Tensor) -> Column:
        """The column, given the row of the training set for each number of `names`, or -1."""
        groups = None
        if self._size is not None:
            groups = row_of_number[_tensor(self._members)].reshape(-1, self._size)
            if bool((groups < 0).any()):
                raise _misfit(self._label, self._path)
        if not self._shared:
            return Column(self._texts, groups)
        order = self._order()
        return Column(
            [self._texts[place] for place in order],
            None if groups is None else groups[order],
            _tensor(self._own),
        )

    def _order(self) -> list[int]:
        """The places of the subjects, by their numbers."""
        if sorted(self._place) != [*range(len(self._place))]:
            raise _misfit(self._label, self._path)
        return [self._place[subject] for subject in range(len(self._place))]


def _tensor(numbers: Sequence[int]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


def _misfit(label: str, path: Path) -> LatteError:
    return LatteError(
        f"the groups of `{label}` do not fit this recipe",
        where=str(path),
        hint="remove the file to have it written anew; stored texts are reused",
    )
