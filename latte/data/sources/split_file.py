"""Split files as CoOp publishes them: `{"train"|"val"|"test": [[path, label, name], ...]}`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latte.data.sources.paths import read_text
from latte.interfaces import LatteError

SPLIT_NAMES = ("train", "val", "test")
SHAPE = 'A split is {"train": [["cat/1.jpg", 0, "cat"], ...], "val": [...], "test": [...]}.'


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a split: `where` is `file split[index]`; it may come without a label."""

    where: str
    path: str
    label: int | None
    name: str


Splits = dict[str, list[Entry]]
"""The entries of train, val and test; empty where a file has none."""


def read_splits(file: Path) -> Splits:
    """Every split by name. Raises `LatteError` for other shapes, with the place."""
    try:
        content = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise LatteError(
            f"malformed JSON: {error.msg}", where=f"{file}:{error.lineno}", hint=SHAPE
        ) from error
    except (ValueError, RecursionError) as error:
        raise LatteError(f"malformed JSON: {error}", where=str(file), hint=SHAPE) from error
    if not isinstance(content, dict) or "train" not in content:
        raise LatteError("is not a split file: it has no train split", where=str(file), hint=SHAPE)
    return {name: _read_split(file, name, content.get(name)) for name in SPLIT_NAMES}


def names_by_label(entries: Sequence[Entry]) -> dict[int, Entry]:
    """One labelled entry for each label id, in the order of ids.

    Raises `LatteError` where a label has two names.
    """
    first: dict[int, Entry] = {}
    for entry in entries:
        if entry.label is None:
            continue
        known = first.setdefault(entry.label, entry)
        if known.name != entry.name:
            raise LatteError(
                f"label {entry.label} is called {entry.name!r}",
                where=entry.where,
                hint=f"It is called {known.name!r} at {known.where}.",
            )
    return dict(sorted(first.items()))


def _read_split(file: Path, name: str, entries: object) -> list[Entry]:
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise LatteError("is not a list of entries", where=f"{file} {name}", hint=SHAPE)
    return [_read_entry(entry, f"{file} {name}[{i}]") for i, entry in enumerate(entries)]


def _read_entry(entry: object, where: str) -> Entry:
    match entry:
        case [str(path)] | [str(path), None] | [str(path), None, None]:
            return Entry(where, path, None, "")
        case [str(path), int(label), str(name)] if not isinstance(label, bool):
            return Entry(where, path, label, name)
    shown = json.dumps(entry, ensure_ascii=False)[:80]
    raise LatteError(f"{shown} is not [path, label, class name]", where=where, hint=SHAPE)
