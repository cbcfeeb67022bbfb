"""Counts of files in image folders that are not read as images, for messages to users."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from latte.data.formats import HEAD_BYTES, UNREAD_SUFFIXES, suffix_by_content
from latte.interfaces import ImageReference

_SHOWN = 6
"""Number of suffixes that a message names."""


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
        self._unread: Counter[str] = Counter()
        self._misnamed: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._example = {"unread": "", "misnamed": ""}

    def add(self, path: Path) -> None:
        """Count a file whose suffix is not read; its first bytes may show that it is an image."""
        suffix = path.suffix.lower() or "without suffix"
        if suffix in UNREAD_SUFFIXES:
            self._unread[suffix] += 1
            self._example["unread"] = self._example["unread"] or os.path.normpath(path)
        elif right := _suffix_by_content(path):
            self._misnamed[suffix] += 1
            self._example["misnamed"] = self._example["misnamed"] or (
                f"{os.path.normpath(path)}: name it with {right}"
            )
        else:
            self._others[suffix] += 1

    def update(self, other: LeftOut) -> None:
        """Add the counts of `other`."""
        self._unread.update(other._unread)
        self._misnamed.update(other._misnamed)
        self._others.update(other._others)
        self._example = {kind: one or other._example[kind] for kind, one in self._example.items()}

    @property
    def images(self) -> int:
        """Number of files that look like images."""
        return self._unread.total() + self._misnamed.total()

    def warnings(self) -> list[str]:
        """Return one sentence per kind of file, with counts by suffix, an example and a remedy."""
        found = []
        if self._unread:
            found.append(
                f"left out {_counted(self._unread)} in image formats that are not read, such as "
                f"{self._example['unread']}: convert them to JPEG or PNG"
            )
        if self._misnamed:
            found.append(
                f"left out {_counted(self._misnamed)} with the content but not the name of an "
                f"image, such as {self._example['misnamed']}"
            )
        if self._others:
            found.append(f"left out {_counted(self._others, 'other ')}")
        return found


def _counted(counts: Counter[str], kind: str = "") -> str:
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
