"""What a description store holds, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, median

from latte.describe.archive import Archive, FoundText


@dataclass
class Holding:
    """What is kept of one describer's answers to one prompt."""

    describer: str
    prompt: str
    texts: int = 0
    refused: int = 0
    failed: int = 0
    newest: float = 0.0
    """When the newest part with one of them was last written, in seconds since the epoch."""

    def count(self, found: FoundText) -> None:
        """Add one record."""
        if found.record.text is not None:
            self.texts += 1
        elif found.record.refused:
            self.refused += 1
        else:
            self.failed += 1
        self.newest = max(self.newest, found.modified)


def holdings(archive: Archive) -> list[Holding]:
    """One entry for each describer and prompt, the largest of each describer first."""
    found: dict[tuple[str, str], Holding] = {}
    for one in archive.texts():
        about = (one.record.describer, one.record.prompt)
        found.setdefault(about, Holding(*about)).count(one)
    return sorted(found.values(), key=lambda one: (one.describer, -one.texts, one.prompt))


@dataclass(frozen=True)
class StoreStatistics:
    """Numbers about a store."""

    texts: int
    refused: int
    failed: int
    mean_words: float | None
    """Of the texts; None without any."""
    median_words: float | None
    max_words: int | None
    duplicate_share: float | None
    """Share of the texts that repeat another word by word."""
    files: int
    bytes: int
    torn_lines: int
    """Files that end within a line."""
    unreadable_lines: int


def statistics(archive: Archive) -> StoreStatistics:
    """Counts and lengths of everything in `archive`."""
    total = Holding("", "")
    words: list[int] = []
    distinct: set[int] = set()
    for found in archive.texts():
        total.count(found)
        if found.record.text is not None:
            words.append(len(found.record.text.split()))
            distinct.add(hash(found.record.text))
    texts = total.texts
    return StoreStatistics(
        texts=texts,
        refused=total.refused,
        failed=total.failed,
        mean_words=fmean(words) if words else None,
        median_words=median(words) if words else None,
        max_words=max(words) if words else None,
        duplicate_share=1 - len(distinct) / texts if texts else None,
        files=len(archive.parts),
        bytes=archive.size,
        torn_lines=archive.torn_parts,
        unreadable_lines=archive.unreadable_lines,
    )
