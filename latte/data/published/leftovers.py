"""Archives that lie around in a dataset's folder: unfinished, damaged, or not unpacked yet."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latte.data.sources.paths import is_file, visible_entries

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
PART = ".part"
"""How an unfinished download ends."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found. With an `error` the dataset cannot be used as it was published."""

    level: Literal["error", "warning", "ok"]
    what: str
    hint: str = ""


def leftovers(root: Path, *, needed: bool) -> Iterator[Finding]:
    """What is said about each archive in `root`; `needed`: its content may be what is missing."""
    for entry in visible_entries(root):
        path = root / entry.name
        if entry.name.endswith(PART):
            yield Finding("warning", f"{entry.name} is an unfinished download", "Get it again.")
        elif entry.name.endswith(ARCHIVES) and is_file(path):
            yield from _archive(path, needed=needed)


def _archive(path: Path, *, needed: bool) -> Iterator[Finding]:
    if not readable_archive(path):
        yield Finding("warning", f"{path.name} is no readable archive", "Delete it.")
    elif needed:
        yield Finding("warning", f"{path.name} is not unpacked", f"Unpack it in {path.parent}.")


def readable_archive(path: Path) -> bool:
    """Whether `path` begins as an archive does (and ends so, for ZIP); the rest is not read."""
    if path.suffix == ".zip":
        return zipfile.is_zipfile(path)
    try:
        with tarfile.open(path) as archive:
            return archive.next() is not None
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return False
