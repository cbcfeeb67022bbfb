"""List the first files that a run could not read, with the reasons."""

from __future__ import annotations

import csv

from latte.interfaces import RunResults
from latte.results.folder import RunFolder

_MOST = 20


def skipped_files(results: RunResults) -> list[tuple[str, str]]:
    """Return id and reason of the first skipped files; empty if the list is missing or damaged."""
    try:
        with RunFolder(results.folder).skipped.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if len(row) == 2]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
    return [(name, reason) for name, reason in rows[1 : _MOST + 1]]
