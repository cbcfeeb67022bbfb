"""From the lines of `descriptions.jsonl` back to columns, a line at a time."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte.describe.bank_file import BankLine
from latte.describe.column import Column
from latte.interfaces import DescriptionType, LatteError


@dataclass(frozen=True)
class Loaded:
    """What was written about N training images."""

    ids: tuple[str, ...]
    frozen_labels: Tensor
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
