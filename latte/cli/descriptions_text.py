"""What `latte descriptions` prints: at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.text import Text

from latte.cli.output import plain_table, results
from latte.describe.overview import Holding, StoreStatistics
from latte.describe.store import StoredText


def print_holdings(found: Sequence[Holding]) -> None:
    """A table for each describer, one row a prompt."""
    console = results()
    describers = list(dict.fromkeys(one.describer for one in found))
    for number, describer in enumerate(describers):
        console.print(
            Text(f"{chr(10) if number else ''}{describer or 'unknown describer'}", "bold")
        )
        table = plain_table("texts", "refused", "failed", "newest", "prompt")
        for column in table.columns[:3]:
            column.justify = "right"
        for one in found:
            if one.describer == describer:
                counts = (f"{count:,}" for count in (one.texts, one.refused, one.failed))
                day = datetime.fromtimestamp(one.newest).strftime("%Y-%m-%d")
                table.add_row(*map(Text, (*counts, day, one.prompt)))
        console.print(table)


def print_texts(records: Sequence[StoredText], key: str) -> None:
    """Each record about the image `key` as a paragraph."""
    console = results()
    for number, record in enumerate(records):
        if number:
            console.print()
        console.print(Text(_shown(record.images, key) + record.prompt, "bold"))
        if record.text is not None:
            console.print(Text(record.text))
        else:
            what = "refused" if record.refused else "failed"
            console.print(Text(f"({what}: {record.failure or 'no reason given'})"))
        sample = f", sample {record.sample}" if record.sample else ""
        console.print(Text(f"by {record.describer or 'unknown describer'}{sample}", "dim"))


def print_statistics(folder: Path, found: StoreStatistics) -> None:
    """One line a number."""
    table = plain_table("", "")
    table.show_header = False
    rows = {
        "folder": str(folder),
        "texts": f"{found.texts:,}",
        "refused": f"{found.refused:,}",
        "failed": f"{found.failed:,}",
        "words a text": _words(found),
        "duplicates": "-" if found.duplicate_share is None else f"{found.duplicate_share:.1%}",
        "on disk": f"{_size(found.bytes)} in {found.files:,} files",
        "torn last lines": f"{found.torn_lines:,}",
        "unreadable lines": f"{found.unreadable_lines:,}",
    }
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    results().print(table)


def _shown(images: Sequence[str], key: str) -> str:
    if len(images) == 1:
        return ""
    return f"[image {images.index(key) + 1} of a group of {len(images)}] "


def _words(found: StoreStatistics) -> str:
    if found.mean_words is None:
        return "-"
    mean, middle, most = found.mean_words, found.median_words, found.max_words
    return f"mean {mean:.1f}, median {middle:g}, at most {most:,}"


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
