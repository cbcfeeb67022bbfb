"""Read the records of a description store, and count them; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

from latte.describe.store import StoredText, complete_lines, parse_line, part_files

_TEXT, _REFUSED, _FAILED = range(3)


@dataclass(frozen=True)
class FoundText:
    """A stored record, and the time at which its file was last changed."""

    record: StoredText
    modified: float
    """Time of this change, as Unix time in seconds."""


@dataclass
class Archive:
    """Reader of all files `part-*.jsonl` of a store. It keeps keys in memory, but no texts."""

    folder: Path
    unreadable_lines: int = field(default=0, init=False)
    """Number of damaged lines that the last call of `texts` found."""

    @property
    def parts(self) -> list[Path]:
        """All part files, in the order in which the store reads them."""
        return part_files(self.folder)

    def texts(self) -> Iterator[FoundText]:
        """Yield one record per key: the text that runs use, or else the refusal or failure."""
        best: dict[str, int] = {}
        self.unreadable_lines = 0
        for path in self.parts:
            for line in complete_lines(path):
                record = parse_line(line)
                if record is None:
                    self.unreadable_lines += 1
                else:
                    rank = _rank(record)
                    best[record.key] = min(rank, best.get(record.key, rank))
        for path in self.parts:
            modified = path.stat().st_mtime
            for line in complete_lines(path):
                record = parse_line(line)
                if record is not None and best.get(record.key) == _rank(record):
                    del best[record.key]
                    yield FoundText(record, modified)


def _rank(record: StoredText) -> int:
    if record.text is not None:
        return _TEXT
    return _REFUSED if record.refused else _FAILED


def _is_torn(path: Path) -> bool:
    """Return True if the last line of a file is incomplete, for example after a crash."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 1))
        return size > 0 and file.read() != b"\n"


@dataclass
class Holding:
    """Numbers of stored texts, refusals and failures of one describer for one prompt."""

    describer: str
    prompt: str
    texts: int = 0
    refused: int = 0
    failed: int = 0
    newest: float = 0.0
    """Unix time, in seconds, of the newest file that contains one of these records."""

    def count(self, stored_text: FoundText) -> None:
        """Count one more record."""
        rank = _rank(stored_text.record)
        self.texts += rank == _TEXT
        self.refused += rank == _REFUSED
        self.failed += rank == _FAILED
        self.newest = max(self.newest, stored_text.modified)


def holdings(archive: Archive) -> list[Holding]:
    """Return one `Holding` per describer and prompt, sorted by describer and number of texts."""
    holdings: dict[tuple[str, str], Holding] = {}
    for stored_text in archive.texts():
        describer_and_prompt = (stored_text.record.describer, stored_text.record.prompt)
        holdings.setdefault(describer_and_prompt, Holding(*describer_and_prompt)).count(stored_text)
    return sorted(
        holdings.values(), key=lambda holding: (holding.describer, -holding.texts, holding.prompt)
    )


@dataclass(frozen=True)
class StoreStatistics:
    """Numbers of texts, refusals, failures and files of a store, and lengths of its texts."""

    texts: int
    refused: int
    failed: int
    mean_words: float | None
    """Mean number of words of a text; None if there are no texts."""
    median_words: float | None
    max_words: int | None
    duplicate_share: float | None
    """Fraction of the texts that repeat an earlier text exactly."""
    files: int
    bytes: int
    torn_lines: int
    """Number of files whose last line is incomplete."""
    unreadable_lines: int


def statistics(archive: Archive) -> StoreStatistics:
    """Return how many records and files `archive` has, and the lengths of its texts."""
    total = Holding("", "")
    words: list[int] = []
    distinct: set[int] = set()
    for stored_text in archive.texts():
        total.count(stored_text)
        if stored_text.record.text is not None:
            words.append(len(stored_text.record.text.split()))
            distinct.add(hash(stored_text.record.text))
    texts = total.texts
    return StoreStatistics(
        texts=texts,
        refused=total.refused,
        failed=total.failed,
        mean_words=fmean(words) if words else None,
        median_words=median(words) if words else None,
        max_words=max(words, default=None),
        duplicate_share=1 - len(distinct) / texts if texts else None,
        files=len(archive.parts),
        bytes=sum(path.stat().st_size for path in archive.parts),
        torn_lines=sum(map(_is_torn, archive.parts)),
        unreadable_lines=archive.unreadable_lines,
    )
