"""Everything that a description store holds, read without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte.describe.parts import complete_lines, parse_line, part_files
from latte.describe.store import StoredText

_TEXT, _REFUSED, _FAILED = range(3)


@dataclass(frozen=True)
class FoundText:
    """A record, and when its part was last written."""

    record: StoredText
    modified: float
    """Seconds since the epoch."""


@dataclass
class Archive:
    """All parts of a folder. Memory grows with the number of keys, not with the texts."""

    folder: Path
    unreadable_lines: int = field(default=0, init=False)
    """Damaged lines; counted while `texts` reads."""

    @property
    def parts(self) -> list[Path]:
        """The files, in the order in which the store reads them."""
        return part_files(self.folder)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.parts)

    @property
    def torn_parts(self) -> int:
        """How many files end within a line, as a crash leaves them, or a writer at work."""
        return sum(_is_torn(path) for path in self.parts)

    def texts(self) -> Iterator[FoundText]:
        """One record for each key: what the store serves, or why it has nothing to serve."""
        best: dict[str, int] = {}
        self.unreadable_lines = 0
        for path in self.parts:
            for line in complete_lines(path):
                fields = parse_line(line)
                if fields is None:
                    self.unreadable_lines += 1
                else:
                    rank = _rank(fields)
                    best[fields["key"]] = min(rank, best.get(fields["key"], rank))
        for path in self.parts:
            modified = path.stat().st_mtime
            for line in complete_lines(path):
                fields = parse_line(line)
                if fields is not None and best.get(fields["key"]) == _rank(fields):
                    del best[fields["key"]]
                    yield FoundText(stored_text(fields), modified)


def stored_text(fields: dict[str, Any]) -> StoredText:
    """The record that a line's `fields` are; those that older versions did not write are empty."""
    return StoredText(
        key=fields["key"],
        text=fields["text"],
        failure=fields.get("failure"),
        describer=fields.get("describer", ""),
        prompt=fields.get("prompt", ""),
        images=tuple(fields.get("images", ())),
        layout=fields.get("layout", ""),
        sample=fields.get("sample", 0),
        refused=fields.get("refused") is True,
    )


def _rank(fields: dict[str, Any]) -> int:
    """What is served first: a text, else a refusal."""
    if fields["text"] is not None:
        return _TEXT
    return _REFUSED if fields.get("refused") is True else _FAILED


def _is_torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return False
        file.seek(-1, 2)
        return file.read(1) != b"\n"
