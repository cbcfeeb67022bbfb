"""Store one row per draw and method in a file, from which a stopped run resumes."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from latte.interfaces import LatteError
from latte.io.files import write_json, write_text


@dataclass(frozen=True)
class FolderRow:
    """Results of a method on one folder; gains over zero-shot are in percentage points."""

    model: str
    set: str
    cell: str
    draw: int
    method: str
    images: int
    """Own images of the folder."""
    counted: int
    """Number of own images that show one of the names; gains are measured on these."""
    own: float
    """Gain on the own images."""
    unseen: float
    """Gain on unseen images, weighted to the class proportions of the own images."""
    balanced: float
    """Gain on unseen images, with equal weight of all classes of the set."""
    full: float | None = None
    """The full candidate's gain on the own images; None without a verdict."""
    strength: float | None = None
    outcome: str | None = None
    """The verdict in words; None without a verdict."""
    foreign: float | None = None
    """AUROC of the confidence for own images that show a name against those that show none."""
    none: float | None = None
    """The same for the probability of showing none of the names."""
    called_none: float | None = None
    """Share of the own images that show a name, whose probability of none is above a half."""
    signals: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """Identity of the row in its file."""
        return (self.model, self.set, self.cell, self.draw, self.method)

    @property
    def lost_images(self) -> int:
        """Number of own images that only zero-shot gets right, minus those only the method does."""
        return round(-self.own * self.counted / 100)


COLUMNS = tuple(field.name for field in fields(FolderRow))


class RowFile:
    """`rows.csv` of an output folder, and a file of the settings on which its draws depend."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Raise `LatteError` if `folder` has rows of other settings, or a damaged file."""
        self.path = folder / "rows.csv"
        _keep_settings(folder / "settings.json", settings)
        self.rows = self._read()

    def add(self, rows: Sequence[FolderRow]) -> None:
        """Append the rows of one draw in one write, and sync the file to disk."""
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(csv_text([_cells(row) for row in rows]))
            file.flush()
            os.fsync(file.fileno())
        self.rows.extend(rows)

    def _read(self) -> list[FolderRow]:
        """Return all complete rows; remove an incomplete one, which a killed process left."""
        if not self.path.exists():
            write_text(self.path, csv_text([COLUMNS]))
        text = self.path.read_text(encoding="utf-8")
        complete_lines = text[: text.rfind("\n") + 1]
        if complete_lines != text:
            write_text(self.path, complete_lines)
        reader = csv.DictReader(io.StringIO(complete_lines))
        try:
            if reader.fieldnames is None or tuple(reader.fieldnames) != COLUMNS:
                raise ValueError("it has other columns")
            return [_row(cells) for cells in reader]
        except (KeyError, TypeError, ValueError) as error:
            raise LatteError(
                f"is not a file of rows: {error}",
                where=f"{self.path}:{reader.line_num}",
                hint="choose another --out, or remove the file to draw everything again",
            ) from error


def _keep_settings(path: Path, settings: Mapping[str, Any]) -> None:
    plain = json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, plain)
        return
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        saved = {}
    if saved != plain:
        changed = [key for key in plain if saved.get(key) != plain[key]]
        raise LatteError(
            f"the folder has rows of other settings ({', '.join(changed)})",
            where=str(path),
            hint="choose another --out",
        )


def csv_text(lines: Iterable[Sequence[object]]) -> str:
    """Return the lines of a CSV file."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


def _cells(row: FolderRow) -> list[str]:
    values = (getattr(row, name) for name in COLUMNS[:-1])
    return [
        *("" if value is None else str(value) for value in values),
        json.dumps(dict(row.signals)),
    ]


_READ: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "str | None": lambda text: text or None,
    "float | None": lambda text: float(text) if text else None,
    "Mapping[str, float]": json.loads,
}
"""Functions that read the text of a cell, by the annotation of its field."""


def _row(cells: Mapping[str, str]) -> FolderRow:
    return FolderRow(
        **{field.name: _READ[str(field.type)](cells[field.name]) for field in fields(FolderRow)}
    )
