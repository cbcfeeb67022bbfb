"""From the lines of `descriptions.jsonl` back to columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte.describe.bank_file import BankLine
from latte.describe.column import Column
from latte.interfaces import DescriptionType, LatteError


def columns_of(
    lines: Sequence[BankLine], descriptions: Mapping[str, DescriptionType[Any]], path: Path
) -> dict[str, Column]:
    """By description that a describer was asked for; `path` is the file, for messages.

    Raises `LatteError` where the lines do not fit.
    """
    row_of_id = {line.id: row for row, line in enumerate(lines)}
    columns = {}
    for label, kind in descriptions.items():
        if kind.scope == "class":
            continue
        own = _subjects(lines, label, kind, path)
        first = range(len(lines)) if own is None else _first_rows(own, label, path)
        told = [lines[row] for row in first]
        groups = _groups(told, label, kind, row_of_id, path) if kind.scope == "group" else None
        columns[label] = Column([line.texts[label] for line in told], groups, own)
    return columns


def _subjects(
    lines: Sequence[BankLine], label: str, kind: DescriptionType[Any], path: Path
) -> Tensor | None:
    """The number (N,) of each image's group where images share groups."""
    if kind.scope != "group" or kind.groups_per_class is None:
        return None
    numbers = [line.numbers.get(label, -1) for line in lines]
    if min(numbers, default=0) < 0:
        raise _misfit(label, path)
    return torch.tensor(numbers, dtype=torch.int64)


def _first_rows(own: Tensor, label: str, path: Path) -> list[int]:
    """The first image of each subject, in the order of the subjects."""
    first: dict[int, int] = {}
    for row, subject in enumerate(own.tolist()):
        first.setdefault(subject, row)
    if sorted(first) != [*range(len(first))]:
        raise _misfit(label, path)
    return [first[subject] for subject in range(len(first))]


def _groups(
    lines: Sequence[BankLine],
    label: str,
    kind: DescriptionType[Any],
    row_of_id: Mapping[str, int],
    path: Path,
) -> Tensor:
    """(S, size) rows of the images shown together."""
    members = [[row_of_id.get(id_, -1) for id_ in line.groups.get(label, ())] for line in lines]
    if any(len(group) != kind.group_size or -1 in group for group in members):
        raise _misfit(label, path)
    return torch.tensor(members, dtype=torch.int64).reshape(-1, kind.group_size)


def _misfit(label: str, path: Path) -> LatteError:
    return LatteError(
        f"the groups of `{label}` do not fit this recipe",
        where=str(path),
        hint="remove the file to have it written anew; stored texts are reused",
    )
