"""Counts of the files in image folders that latte does not read as images; messages show them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from latte.data.formats import HEAD_BYTES, UNREAD_SUFFIXES, suffix_by_content
from latte.interfaces import ImageReference

_SHOWN = 6
"""Number of suffixes that a message names."""
_SENTENCES = {
    "unread": "left out {files} in image formats that are not read, such as {example}: convert "
    "them to JPEG or PNG",
    "misnamed": "left out {files} with the content but not the name of an image, such as {example}",
    "other": "left out {files}",
}
"""The warning about each kind of file."""


class LeftOut:
    """Counts of files that are not read as images, some of which look like images.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import LeftOut
        >>> left_out = LeftOut()
        >>> left_out.add(Path("photos/1.cr2"))
        >>> left_out.images
        1
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {kind: Counter() for kind in _SENTENCES}
        self._examples: dict[str, str] = {}

    def add(self, path: Path) -> None:
        """Count a file whose suffix is not read; its first bytes may show that it is an image."""
        kind, suffix = "other", path.suffix.lower() or "without suffix"
        if suffix in UNREAD_SUFFIXES:
            kind = "unread"
            self._examples.setdefault(kind, os.path.normpath(path))
        elif right := _suffix_by_content(path):
            kind = "misnamed"
            self._examples.setdefault(kind, f"{os.path.normpath(path)}: name it with {right}")
        self._counts[kind][suffix] += 1

    def update(self, other: LeftOut) -> None:
        """Add the counts of `other`."""
        for kind, counts in other._counts.items():
            self._counts[kind].update(counts)
        self._examples = {**other._examples, **self._examples}

    @property
    def images(self) -> int:
        """Number of files that look like images."""
        return self._counts["unread"].total() + self._counts["misnamed"].total()

    def warnings(self) -> list[str]:
        """Return one sentence per kind of file, with counts by suffix, an example and a remedy."""
        return [
            _SENTENCES[kind].format(
                files=_counted(counts, "other " if kind == "other" else ""),
                example=self._examples.get(kind),
            )
            for kind, counts in self._counts.items()
            if counts
        ]


def _counted(counts: Counter[str], kind: str) -> str:
    """Return the number of files, by suffix, as in `3 files (2 .cr2, 1 .psd)`."""
    shown = [f"{count:,} {suffix}" for suffix, count in counts.most_common(_SHOWN)]
    if len(counts) > _SHOWN:
        shown.append(f"{len(counts) - _SHOWN} more kinds")
    total = counts.total()
    return f"{total:,} {kind}file{'' if total == 1 else 's'} ({', '.join(shown)})"


def _suffix_by_content(path: Path) -> str | None:
    try:
        return suffix_by_content(ImageReference(path.name, path, (0, HEAD_BYTES)).read_bytes())
    except OSError:
        return None
